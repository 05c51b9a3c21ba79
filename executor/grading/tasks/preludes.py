"""Source that runs before a program in the same namespace: names that a website provides to every program."""

_LEETCODE = """\
import bisect
import collections
import copy
import datetime
import functools
import heapq
import itertools
import math
import operator
import random
import re
import string
import sys
from typing import *
from collections import *
from itertools import *
from functools import *
from heapq import *
from bisect import *
from string import *
from operator import *
from math import *
from builtins import *


class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next


class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val = val
        self.left = left
        self.right = right
"""
# typing comes first: its Counter and OrderedDict must not hide the classes of collections. builtins comes last: the pow
# of math and operator takes no modulus.

PRELUDES = {"leetcode": _LEETCODE}


def expand_prelude(prelude: str | None) -> str:
    """Return the source of a prelude, which is given by its name or as source; empty for None."""
    return "" if prelude is None else PRELUDES.get(prelude, prelude)
