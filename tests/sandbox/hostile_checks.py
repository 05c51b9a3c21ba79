"""Programs that want to pass a check without being right: name: (the statuses it may have, source).

Where no status is named, any will do but `passed` and `infra`. The check is that of `test_assertions.py`: the right
answers to 1, 2 and 3 are `first-secret`, `second-secret` and `["third-secret"]`.
"""

from executor.types import Status

FIRST_ONLY = "'first' + '-secret' if x == 1 else "
WRONG, CRASH, TIMEOUT, EXCEPTION = Status.WRONG, Status.CRASH, Status.TIMEOUT, Status.EXCEPTION

HOSTILE = {
    "search_with_gc": ({WRONG}, """
import gc
def strings(thing, depth=0):
    if isinstance(thing, str): yield thing
    elif depth < 3:
        for part in gc.get_referents(thing): yield from strings(part, depth + 1)
def solve(x):
    for thing in gc.get_objects():
        for text in strings(thing):
            if text.endswith("t-sec" "ret") or "AN" "SWERS" in text: return text
"""),
    "search_frames": ({WRONG}, """
import sys
def solve(x):
    frame = sys._getframe()
    while frame:
        for value in [*frame.f_locals.values(), *frame.f_globals.values(), *frame.f_code.co_consts]:
            if "sec" "ret" in str(value): return value
            if "asse" "rt" in str(value) and "ca" "ndidate" in str(value): return value
        frame = frame.f_back
"""),
    "search_files": ({WRONG}, """
import os
def solve(x):
    for top in ("/app", "/private", "/proc", "/tmp", "/dev/shm", "/run"):
        for folder, _, names in os.walk(top):
            for name in names:
                try: text = open(os.path.join(folder, name), "rb").read(1 << 20)
                except OSError: continue
                if b"first-sec" b"ret" in text: return "first" + "-secret"
"""),
    "write_a_verdict": ({CRASH}, "import os\ndef solve(x): os.write(3, b'pnull\\n'); return 0"),
    "write_a_frame": ({CRASH}, """
import json, os, struct
header = json.dumps({"id": 0, "end": None, "exit_code": 0, "cpu_s": 0, "wall_s": 0, "clean": True}).encode()
os.write(3, struct.pack(">II", len(header), 6) + header + b"pnull\\n")
def solve(x): return 0
"""),
    "states_a_fault": ({CRASH}, "import os\nos.write(3, b'fOSError: no sandbox'); os._exit(70)"),
    "answers_before_any_call": ({CRASH}, "import os\nos.write(3, b'rnull\\nv1\\nv2\\nv3\\n')\ndef solve(x): pass"),
    "answers_without_a_call": ({CRASH, WRONG}, """
import os, threading, time
def speak():
    while True: os.write(3, b"v1\\n")
def solve(x):
    threading.Thread(target=speak, daemon=True).start()
    time.sleep(0.1)
"""),
    "two_answers_to_one_call": ({CRASH, WRONG}, """
import os
def solve(x): os.write(3, b'v"first-sec'); os.write(3, b'ret"\\n')
"""),
    "half_an_answer": ({CRASH}, "import os\ndef solve(x): os.write(3, b'v\"first'); os._exit(0)"),
    "no_json": ({CRASH}, "import os\ndef solve(x): os.write(3, b'v{\\xff\\n'); os._exit(0)"),
    "bottomless": ({CRASH}, "import os\ndef solve(x): os.write(3, b'v' + b'[' * 99999 + b'\\n'); os._exit(0)"),
    "unknown_tag": ({CRASH}, "import os\ndef solve(x): os.write(3, b'v{\"$exec\":[1]}\\n'); os._exit(0)"),
    "a_tensor_beyond_the_floats": ({CRASH}, """
import os
def solve(x):
    os.write(3, b'v{"$tensor":{"dtype":"float32","shape":[1],"data":[1' + b'0' * 400 + b']}}\\n'); os._exit(0)
"""),
    "claims_not_to_have_loaded": ({Status.LOAD_ERROR}, """
import os
os.write(3, b'l["KeyError",""]\\n'); os._exit(0)
"""),
    "a_call_of_the_tester": ({CRASH}, "import os\ndef solve(x): os.write(3, b'c[[1],{}]\\n'); os._exit(0)"),
    "flood_without_lines": ({Status.OUTPUT_LIMIT}, """
import os
def solve(x):
    while True: os.write(3, b'v' * 65536)
"""),
    "flood_of_lines": ({CRASH}, "import os\ndef solve(x):\n    while True: os.write(3, b'v1\\n' * 9999)"),
    "takes_its_calls_itself": ({CRASH, TIMEOUT}, """
import os
def solve(x):
    os.write(3, b'v"first-' b'secret"\\n')
    os.read(4, 9999)
    while True: os.write(3, b'v"second-' b'secret"\\n')
"""),
    "closes_its_pipes": ({CRASH, TIMEOUT}, "import os\ndef solve(x): os.close(3); os.close(4)"),
    "closes_where_calls_come_from": ({CRASH}, f"import os\ndef solve(x):\n    os.close(4)\n    return {FIRST_ONLY}0"),
    "exit_0_at_load": ({CRASH}, "import os; os._exit(0)"),
    "exit_0_at_a_call": ({CRASH}, "import os\ndef solve(x): os._exit(0)"),
    "system_exit_0": ({EXCEPTION}, "def solve(x): raise SystemExit(0)"),
    "system_exit_at_load": ({Status.LOAD_ERROR}, "raise SystemExit(0)"),
    "keyboard_interrupt": ({EXCEPTION}, "def solve(x): raise KeyboardInterrupt"),
    "generator_exit": ({EXCEPTION}, "def solve(x): raise GeneratorExit"),
    "assertion_error": ({EXCEPTION}, "def solve(x): raise AssertionError"),
    "an_exception_with_a_verdict_for_a_name": ({EXCEPTION}, "def solve(x): raise type('passed', (Exception,), {})"),
    "an_exception_with_a_line_for_a_name": ({EXCEPTION}, "def solve(x): raise type('a\\npnull', (Exception,), {})"),
    "an_exception_without_a_name": ((), """
class Nameless(type):
    @property
    def __name__(cls): raise KeyError
class Odd(Exception, metaclass=Nameless): pass
def solve(x): raise Odd
"""),
    "one_good_answer_then_death": ({CRASH}, f"import os\ndef solve(x): return {FIRST_ONLY}os.abort()"),
    "one_good_answer_then_exit": ({CRASH}, f"import os\ndef solve(x): return {FIRST_ONLY}os._exit(0)"),
    "one_good_answer_then_a_loop": ({TIMEOUT}, f"def solve(x):\n    while x > 1: pass\n    return {FIRST_ONLY}0"),
    "one_good_answer_then_sleep": ({TIMEOUT}, f"import time\ndef solve(x): return {FIRST_ONLY}time.sleep(99)"),
    "dies_between_calls": ({CRASH}, f"""
import os, threading, time
def solve(x):
    threading.Timer(0.05, os._exit, [0]).start()
    if x > 1: time.sleep(1)
    return {FIRST_ONLY}0
"""),
    "equal_to_everything": ({WRONG}, """
class Equal:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = None
def solve(x): return Equal()
"""),
    "a_string_equal_to_everything": ({WRONG}, """
class Equal(str):
    def __eq__(self, other): return True
def solve(x): return Equal("x")
"""),
    "a_list_of_them": ({WRONG}, """
class Equal(str):
    def __eq__(self, other): return True
def solve(x): return [Equal("x")]
"""),
    "type_patched": ((), """
import builtins
class Equal:
    def __eq__(self, other): return True
builtins.type = lambda value: str
def solve(x): return Equal()
"""),
    "builtins_patched": ((), """
import builtins, json
for name in ("AssertionError", "str", "isinstance", "len", "any", "all", "print", "Exception"):
    setattr(builtins, name, lambda *args, **named: True)
json.dumps = json.loads = lambda *args, **named: "true"
def solve(x): return True
"""),
    "encoder_patched": ((), """
import sys, json
for module in list(sys.modules.values()):
    for name in ("encode_value", "decode_value", "verdict_of", "run_tester", "_answer"):
        if name in vars(module): setattr(module, name, lambda *args, **named: "first" + "-secret")
def solve(x): return 0
"""),
    "runs_the_tester_itself": ((), """
import os, sys
tester = sys.modules.get("tester")
task = {"prompt": None, "entry_point": "solve", "check": "def check(c): pass"}
if tester: tester.run_tester(task, reader=4, writer=3)
"""),
    "kills_all": ({CRASH, EXCEPTION, WRONG}, "import os\ndef solve(x): os.kill(-1, 9)"),
    "kills_the_worker": ({WRONG, EXCEPTION}, "import os\ndef solve(x): os.kill(1, 9)"),
    "kills_its_group": ({CRASH}, "import os\ndef solve(x): os.killpg(0, 9)"),
    "stops_itself": ({TIMEOUT}, "import os\ndef solve(x): os.kill(os.getpid(), 19)"),
    "loop_at_load": ({TIMEOUT}, "while True: pass"),
    "loop_in_a_call": ({TIMEOUT}, "def solve(x):\n    while True: pass"),
    "loop_in_c": ({TIMEOUT}, "def solve(x): sum(range(10 ** 12))"),
    "sleep_at_load": ({TIMEOUT}, "import time; time.sleep(99)"),
    "many_children": ((), """
import os
def solve(x):
    while True:
        try: os.fork()
        except OSError: pass
"""),
    "a_child_goes_on": ({CRASH, WRONG}, "import os\ndef solve(x):\n    if os.fork(): os._exit(0)\n    return 0"),
    "memory": ({Status.MEMORY}, "def solve(x): return len(bytearray(1 << 40))"),
    "a_value_without_end": ({Status.OUTPUT_LIMIT}, """
def solve(x):
    value = []
    value.append(value)
    return value
"""),
    "an_infinite_answer": ({WRONG}, "def solve(x): return float('inf')"),
    "a_generator": ({WRONG}, "def solve(x):\n    yield 1"),
    "nothing": ({WRONG}, "def solve(x): pass"),
    "stars": ({Status.LOAD_ERROR}, "***"),
}  # fmt: skip
