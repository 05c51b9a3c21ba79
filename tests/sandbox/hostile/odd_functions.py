"""Entry points of odd make, and what they are made of. Each must pass."""

# ruff: noqa: E501

from tests.sandbox.hostile.record import RIGHT, dedented

PROGRAMS = dedented(
    plain=RIGHT,
    lambda_="solve = lambda n: n * n + 1",
    callable_object="""
        class Square:
            def __call__(self, n):
                return n * n + 1
        solve = Square()
    """,
    bound_method="""
        class Solution:
            def __init__(self): self.one = 1
            def solve(self, n): return n * n + self.one
        solve = Solution().solve
    """,
    class_method_as_function="""
        class Solution:
            @staticmethod
            def solve(n): return n * n + 1
        solve = Solution.solve
    """,
    partial="import functools, operator\nsolve = functools.partial(lambda one, n: n * n + one, 1)",
    builtin_as_function="""
        import operator
        table = {n: n * n + 1 for n in range(-50, 50)}
        solve = table.__getitem__
    """,
    int_by_new="class solve(int):\n    def __new__(cls, n): return n * n + 1",
    decorated="""
        import functools
        def logged(function):
            @functools.wraps(function)
            def inner(*args, **kwargs):
                return function(*args, **kwargs)
            return inner
        @logged
        @functools.lru_cache(maxsize=None)
        def solve(n): return n * n + 1
    """,
    class_as_decorator="""
        class Memo:
            def __init__(self, function): self.function, self.known = function, {}
            def __call__(self, *args):
                if args not in self.known: self.known[args] = self.function(*args)
                return self.known[args]
        @Memo
        def solve(n): return n * n + 1
    """,
    cached="import functools\n@functools.cache\ndef solve(n): return 1 if n == 0 else solve(abs(n) - 1) + 2 * abs(n) - 1",
    generators="""
        def squares(n):
            yield from (abs(n) for _ in range(abs(n)))
        def solve(n): return sum(squares(n)) + 1
    """,
    generator_send="""
        def machine():
            n = yield
            while True: n = yield n * n + 1
        def solve(n):
            m = machine(); next(m)
            return m.send(n)
    """,
    default_arguments="def solve(n, one=1, *rest, power=2, **more): return n ** power + one",
    positional_only="def solve(n, /): return n * n + 1",
    annotations="from typing import *\ndef solve(n: 'List[NotThere]') -> Undefined if False else int: return n * n + 1",
    star_import="from math import *\nfrom os.path import *\ndef solve(n): return int(pow(n, 2)) + 1",
    walrus_and_match="""
        def solve(n):
            match (square := n * n):
                case int() if square >= 0: return square + 1
                case _: return None
    """,
    nested_functions="""
        def solve(n):
            total = 1
            def add(x):
                nonlocal total
                total += x
            for _ in range(abs(n)): add(abs(n))
            return total
    """,
    global_state="""
        calls = []
        def solve(n):
            global calls
            calls += [n]
            return n * n + 1
    """,
    redefined="""
        def solve(n): return None
        def solve(n): return n * n + 1
    """,
    defined_in_a_branch="""
        import sys
        if sys.version_info > (2,):
            def solve(n): return n * n + 1
        else:
            solve = None
    """,
    defined_in_try="""
        try:
            import numpy_that_is_not_there as np
        except ImportError:
            def solve(n): return n * n + 1
    """,
    defined_by_exec="exec('def solve(n): return n * n + 1')",
    defined_by_globals="globals()['solve'] = eval('lambda n: n * n + 1')",
    defined_by_type="solve = type('S', (), {'__call__': lambda self, n: n * n + 1})()",
    defined_by_metaclass="""
        class Meta(type):
            def __call__(cls, n): return n * n + 1
        class solve(metaclass=Meta): pass
    """,
    descriptor="""
        class Power:
            def __get__(self, instance, owner): return lambda n: n * n + 1
        class S: go = Power()
        solve = S().go
    """,
    dataclass_="""
        from __future__ import annotations
        from dataclasses import dataclass
        from typing import NamedTuple, get_type_hints
        @dataclass(frozen=True, slots=True, order=True)
        class Point:
            x: int
        class Pair(NamedTuple):
            a: int
        get_type_hints(Point)
        def solve(n):
            return Point(n).x * Pair(n).a + 1
    """,
    enums="""
        import enum
        class Sign(enum.IntEnum):
            ONE = enum.auto()
        def solve(n): return int(n * n + Sign.ONE)
    """,
    abstract_classes="""
        import abc
        class Shape(abc.ABC):
            @abc.abstractmethod
            def area(self): ...
        class Square(Shape):
            def __init__(self, n): self.n = n
            def area(self): return self.n ** 2
        def solve(n): return Square(n).area() + 1
    """,
    pickles_its_own_class="""
        import pickle, copy
        class Box:
            def __init__(self, n): self.n = n
        def solve(n): return pickle.loads(pickle.dumps(copy.deepcopy(Box(n)))).n ** 2 + 1
    """,
    operator_overloads="""
        class N:
            def __init__(self, n): self.n = n
            def __mul__(self, o): return N(self.n * o.n)
            def __add__(self, o): return self.n + o
            def __eq__(self, o): return False
        def solve(n): return N(n) * N(n) + 1
    """,
)
