"""Every tensor atom against plain Python over nested lists, on drawn and on edge inputs; and what atoms promise."""

import math
from random import Random

import pytest
import torch

from datamodules.atoms import ATOMS, TENSOR_ATOMS
from datamodules.atoms.domains import is_tensor_type
from executor.sandbox.tensors import TensorValue

N = range(4)


def columns(m):
    return [[row[j] for row in m] for j in N]


def softmax(row):
    weights = [math.exp(x) for x in row]
    return [weight / sum(weights) for weight in weights]


def product(m, n):
    return [[sum(m[i][k] * n[k][j] for k in N) for j in N] for i in N]


def attend(q, k, v):
    weights = [softmax([sum(q[i][d] * k[j][d] for d in N) / math.sqrt(4) for j in N]) for i in N]
    return product(weights, v)


def standardised(v):
    mean = sum(v) / 4
    deviation = math.sqrt(sum((x - mean) ** 2 for x in v) / 4 + 1e-5)
    return [(x - mean) / deviation for x in v]


ORACLES = {
    "rectify": lambda m: [[x if x > 0 else 0.0 for x in row] for row in m],
    "squash": lambda v: [x / (1 + abs(x)) for x in v],
    "scale_rows": lambda m, v: [[x * v[i] for x in m[i]] for i in N],
    "add_bias": lambda m, v: [[row[j] + v[j] for j in N] for row in m],
    "larger_of": lambda v, w: [max(pair) for pair in zip(v, w, strict=True)],
    "row_totals": lambda m: [math.fsum(row) for row in m],
    "column_averages": lambda m: [math.fsum(column) / 4 for column in columns(m)],
    "row_maxima": lambda m: [max(row) for row in m],
    "column_spreads": lambda m: [max(column) - min(column) for column in columns(m)],
    "running_sum": lambda v: [math.fsum(v[: i + 1]) for i in N],
    "running_row_maxima": lambda m: [[max(row[: j + 1]) for j in N] for row in m],
    "circular_steps": lambda v: [v[i] - v[i - 1] for i in N],
    "lower_triangle": lambda m: [[m[i][j] if j <= i else 0.0 for j in N] for i in N],
    "softmax_rows": lambda m: [softmax(row) for row in m],
    "layer_norm": standardised,
    "rms_norm_rows": lambda m: [[x / math.sqrt(sum(y * y for y in row) / 4 + 1e-5) for x in row] for row in m],
    "matrix_product": product,
    "gram_of_rows": lambda m: product(m, columns(m)),
    "matrix_times_vector": lambda m, v: [sum(m[i][j] * v[j] for j in N) for i in N],
    "outer_product": lambda v, w: [[x * y for y in w] for x in v],
    "swap_axes": columns,
    "gather_elements": lambda v, i: [v[place] for place in i],
    "gather_rows": lambda m, i: [m[place] for place in i],
    "scatter_sum": lambda v, i: [sum(x for x, place in zip(v, i, strict=True) if place == slot) for slot in N],
    "sorting_positions": lambda v: sorted(N, key=lambda i: v[i]),
    "row_peaks": lambda m: [row.index(max(row)) for row in m],
    "attention": attend,
}


def as_torch(value: TensorValue) -> torch.Tensor:
    return torch.tensor(value.data, dtype=getattr(torch, value.dtype)).reshape(value.shape)


def test_there_are_enough_of_them_and_each_has_an_oracle() -> None:
    assert len(TENSOR_ATOMS) >= 20
    assert set(ORACLES) == set(TENSOR_ATOMS)
    assert not set(TENSOR_ATOMS) & set(ATOMS)


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_it_returns_what_it_says(name: str) -> None:
    atom, rng = TENSOR_ATOMS[name], Random(7)
    domains = [parameter.domain for parameter in atom.parameters]
    inputs = [[domain.sample(rng) for domain in domains] for _ in range(40)]
    inputs += [[domain.edges()[i % len(domain.edges())] for domain in domains] for i in range(4)]
    for values in inputs:
        arguments = [as_torch(value) for value in values]
        before = [argument.clone() for argument in arguments]
        found = atom(*arguments)
        expected = torch.tensor(ORACLES[name](*[argument.tolist() for argument in before]))
        torch.testing.assert_close(found.double(), expected.double(), rtol=1e-4, atol=1e-5)
        assert all(torch.equal(*pair) for pair in zip(arguments, before, strict=True)), "an argument was changed"
        dtype, shape = str(found.dtype).removeprefix("torch."), ", ".join(map(str, found.shape))
        assert atom.return_type == repr(f"{dtype}[{shape}]")


@pytest.mark.parametrize("name", sorted(TENSOR_ATOMS))
def test_its_types_are_of_tensors_and_its_source_stands_alone(name: str) -> None:
    atom = TENSOR_ATOMS[name]
    assert all(is_tensor_type(parameter.type_name) for parameter in atom.parameters)
    assert is_tensor_type(atom.return_type)
    space: dict = {"__builtins__": {}}
    exec(atom.source, space)
    assert callable(space[name])
