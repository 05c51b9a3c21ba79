import random

import pytest

from datamodules.atoms import ATOMS
from datamodules.synthesis.composition.canonical import parse_skeleton
from datamodules.synthesis.composition.render import render
from datamodules.synthesis.composition.sample import MAX_PARAMETERS, MAX_STEPS, AtomSampler, sample_tree
from datamodules.synthesis.composition.tree import Call, Param, depth, parameters, skeleton, steps


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_drawn_trees_are_typed_and_keep_their_bounds(levels):
    sampler = AtomSampler(tuple(ATOMS.values()))
    trees = [sample_tree(random.Random(i), sampler, depth=levels) for i in range(300)]
    trees = [tree for tree in trees if tree is not None]
    assert len(trees) > 100
    for tree in trees:
        assert depth(tree) == levels
        assert 1 <= len(parameters(tree)) <= MAX_PARAMETERS
        assert len(steps(tree)) <= MAX_STEPS
        assert parse_skeleton(render(tree)) == skeleton(tree)
        for call in steps(tree):
            for slot, arg in zip(call.atom.parameters, call.args, strict=True):
                if isinstance(arg, Call):
                    assert arg.atom.return_type == slot.type_name
                elif isinstance(arg, Param):
                    assert arg.type_name == slot.type_name
                else:
                    assert type(arg.value).__name__ == slot.type_name


def test_parameters_appear_in_the_order_in_which_they_are_used():
    sampler = AtomSampler(tuple(ATOMS.values()))
    for i in range(200):
        tree = sample_tree(random.Random(i), sampler, depth=3)
        if tree is not None:
            used = [arg.index for call in steps(tree) for arg in call.args if isinstance(arg, Param)]
            assert list(dict.fromkeys(used)) == sorted(set(used))
