"""The estimate of an iteration's time: work counted by torch and by hand, constants found again, errors by hand."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).resolve().parents[3]
from benchmarks.cost import tables  # noqa: E402
from benchmarks.cost.fit import Point, compare, fit_machine, two_constants  # noqa: E402
from benchmarks.cost.layout import Layout, RunSizes  # noqa: E402
from benchmarks.cost.machines import Link, Machine  # noqa: E402
from benchmarks.cost.memory import num_trained  # noqa: E402
from benchmarks.cost.plot import write_svg  # noqa: E402
from benchmarks.cost.points import Setting, point_of  # noqa: E402
from benchmarks.cost.sizes import ModelSizes  # noqa: E402
from benchmarks.cost.step import expected_maximum, iteration_time, traffic, work_of  # noqa: E402
from lightning_modules.models.policy import Policy  # noqa: E402
from lightning_modules.training.flops import training_cost  # noqa: E402

SMALL = ModelSizes(
    name="small", hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, intermediate_size=96, vocab_size=300,
    tie_embeddings=False,
)  # fmt: skip
RUN = RunSizes(
    prompts_per_iteration=8, samples_per_prompt=4, minibatch_size=16, prompt_tokens=20, response_tokens=30,
    longest_response=40, score_batch_size=8, critic=None,
)  # fmt: skip
ONE = Layout(num_nodes=1, gpus_per_node=1, strategy="one")
DDP = Layout(num_nodes=1, gpus_per_node=2, strategy="ddp")
FSDP = Layout(num_nodes=2, gpus_per_node=2, strategy="fsdp2")
MACHINE = Machine(
    name="made up", decode_flops_per_s=2e9, read_flops_per_s=4e9, train_flops_per_s=5e9, decode_layer_s=1e-4,
    read_layer_s=2e-3, train_layer_s=3e-3, fixed_s=0.02, sample_s=1e-3, contention=1.5, rank_spread=0.1,
    within_node=Link(bytes_per_s=1e8, latency_s=1e-3),
)  # fmt: skip


def small_model() -> LlamaForCausalLM:
    config = LlamaConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96,
        vocab_size=300, tie_word_embeddings=False,
    )  # fmt: skip
    return LlamaForCausalLM._from_config(config, attn_implementation="eager")


def test_reading_takes_the_operations_torch_counts():
    """One response a prompt: 50 tokens and the copy of the prompt's last; torch counts every logit, we the 30."""
    run = replace(RUN, prompts_per_iteration=1, samples_per_prompt=1, minibatch_size=1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        small_model()(torch.ones(1, 51, dtype=torch.long))
    unread = 2 * 64 * 300 * (51 - 30)
    read = work_of(SMALL, run, ONE).read_flops / 2  # by policy and reference
    assert read == pytest.approx(counter.get_total_flops() - unread, rel=0.01)  # 50 pairs squared, not 51


def test_training_takes_what_the_formula_of_mfu_says():
    run = replace(RUN, prompts_per_iteration=1, samples_per_prompt=1, minibatch_size=1)
    cost = training_cost(Policy(small_model()))
    norms = 6 * (2 * 2 + 1) * 64 * 51  # which that formula counts as weights
    said = cost.per_token * 51 + cost.per_pair * 50**2 + cost.per_prediction * 30 - norms
    assert work_of(SMALL, run, ONE).train_flops == pytest.approx(said, rel=1e-9)
    again = work_of(SMALL, replace(run, gradient_checkpointing=True), ONE).train_flops
    assert again - said == pytest.approx((said - cost.per_prediction * 30) / 3, rel=1e-9)


def test_decoding_by_hand():
    """32 responses, 8 prompts of 20 tokens; one batch of 40 steps through 2 blocks."""
    work = work_of(SMALL, RUN, ONE)
    assert work.decode_steps == 40 * 2
    block = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96
    a_pair = 4 * 2 * 64
    prompts = 8 * (2 * 2 * block * 20 + a_pair * 400 + 2 * 300 * 64)
    tokens = 32 * 30 * (2 * (2 * block + 300 * 64) + a_pair * 35)
    assert work.decode_flops == prompts + tokens
    assert work.read_passes == 4 * 2 * 2  # four passes of eight, two blocks, policy and reference
    assert work.train_passes == 2 * 2
    assert work_of(SMALL, replace(RUN, generate_batch_size=8), DDP).decode_steps == 2 * 40 * 2
    assert work.checks == 32


def test_traffic_by_hand():
    weights = SMALL.num_weights
    assert num_trained(SMALL, RUN) == weights
    assert traffic(SMALL, RUN, ONE) == (0, 0, 0)
    # two optimizer steps, a ring of two: each rank receives half the gradients twice
    assert traffic(SMALL, RUN, DDP) == (0, 2 * 4 * weights, 2 * 2)
    # four ranks receive three quarters: one scored pass of policy and reference, one gathering to sample from;
    # in each of two steps the blocks twice, the rest once, and all gradients
    blocks = 2 * SMALL.num_block_weights
    gathered, reduced, hops = traffic(SMALL, RUN, FSDP)
    assert gathered == pytest.approx(0.75 * 4 * 3 * weights)
    assert reduced == pytest.approx(0.75 * 4 * 2 * (weights + blocks + weights))
    assert hops == (2 * 3 * 2 + 3 * 2) * 3


def test_a_time_by_hand():
    work = work_of(SMALL, RUN, DDP)
    time = iteration_time(SMALL, RUN, DDP, replace(MACHINE, checks_per_s=10.0))
    assert time.generate == pytest.approx(1.5 * (work.decode_steps * 1e-4 + work.decode_flops / 2e9))
    assert time.score == pytest.approx(1.5 * (work.read_passes * 2e-3 + work.read_flops / 4e9))
    assert time.update == pytest.approx(1.5 * (work.train_passes * 3e-3 + work.train_flops / 5e9))
    assert time.communicate == pytest.approx(work.reduced_bytes / 1e8 + 4 * 1e-3)
    assert time.execute == pytest.approx(3.2 - time.score)
    assert time.wait == pytest.approx((time.generate + time.score) * 0.1 / math.sqrt(math.pi))
    assert time.other == pytest.approx(1.5 * (0.02 + 16 * 1e-3))
    assert time.total == pytest.approx(sum(vars(time).values()))


def test_ranks_share_the_work_and_wait_for_the_slowest():
    eight = Layout(num_nodes=1, gpus_per_node=8, strategy="ddp")
    one, shared = work_of(SMALL, RUN, ONE), work_of(SMALL, RUN, eight)
    assert shared.decode_flops * 8 == pytest.approx(one.decode_flops)
    assert shared.train_flops * 8 == pytest.approx(one.train_flops)
    assert shared.decode_steps == one.decode_steps  # as many steps, with fewer rows
    assert iteration_time(SMALL, RUN, ONE, MACHINE).wait == 0


@pytest.mark.parametrize(("num_draws", "mean"), [(1, 0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi))])
def test_the_largest_of_some_draws(num_draws, mean):
    assert expected_maximum(num_draws) == pytest.approx(mean, abs=1e-6)


def point_on(machine: Machine, layout: Layout, run: RunSizes, *, is_fitted: bool = True, spread: float = 0.0) -> Point:
    """Measure a machine that is exactly as the model says."""
    time = iteration_time(SMALL, run, layout, machine)
    return Point(
        model=SMALL, run=run, layout=layout, is_fitted=is_fitted, generate_s=time.generate, score_s=time.score,
        update_s=time.update + time.communicate, other_s=time.other, wall_s=time.total, rank_spread=spread,
    )  # fmt: skip


def test_a_fit_finds_the_constants_again():
    alone = replace(MACHINE, contention=1.0, rank_spread=0.0)
    larger = replace(RUN, prompts_per_iteration=40, minibatch_size=32, score_batch_size=20)
    points = [
        point_on(alone, ONE, RUN),
        point_on(alone, ONE, larger),
        point_on(MACHINE, DDP, RUN, spread=0.1 / math.sqrt(math.pi)),
        point_on(replace(alone, train_flops_per_s=1.0), ONE, RUN, is_fitted=False),  # must have no say
    ]
    found = fit_machine(points, MACHINE.within_node, name="made up")
    numbers = [name for name, value in vars(MACHINE).items() if isinstance(value, float)]
    assert len(numbers) == 12
    assert [getattr(found, name) for name in numbers] == pytest.approx([getattr(MACHINE, name) for name in numbers])
    kept_out = point_on(MACHINE, DDP, larger, is_fitted=False)
    compared = compare(kept_out, found)
    assert (compared.error, compared.wall_error) == pytest.approx((0, 0), abs=1e-6)
    doubled = compare(replace(kept_out, wall_s=2 * kept_out.wall_s, other_s=kept_out.other_s + kept_out.cpu_s), found)
    assert (doubled.error, doubled.wall_error) == (pytest.approx(-0.5), pytest.approx(-0.5))


def test_constants_are_never_negative():
    # 10 + 4 and 20 + 1 would need a negative second constant: the first alone is the best that may be
    often, much = two_constants([(10, 4, 10.0), (20, 1, 25.0)])
    assert much == 0
    assert often == pytest.approx((1 + 0.8) / (1 + 0.64))
    assert two_constants([(1, 2, 8.0), (1, 4, 14.0)]) == pytest.approx((2, 3))


def test_a_fit_needs_two_points_of_one_rank():
    with pytest.raises(ValueError, match="1 points of one rank"):
        fit_machine([point_on(MACHINE, ONE, RUN), point_on(MACHINE, DDP, RUN)], Link(), name="made up")


def test_a_point_is_counted_in_processor_seconds():
    """Two ranks, two iterations, of which the second was disturbed: it took twice its processor seconds."""
    sizes = {"prompt_tokens": 50.0, "response_tokens": 40.0, "longest_response": 48}
    quiet = sizes | {"generate": 1.0, "score": 1.0, "update": 2.0, "wall": 5.0, "cpu": 5.0}
    disturbed = sizes | {"generate": 4.0, "score": 2.0, "update": 4.0, "wall": 12.0, "cpu": 6.0, "prompt_tokens": 54.0}
    point = point_of(Setting("ddp", 2, num_prompts=16, is_fitted=False), [[quiet, disturbed], [quiet, quiet]])
    # generate: 1, 4 x 6/12, 1, 1; score: 1 each; update: 2 each; processor seconds 5, 6, 5, 5
    assert (point.generate_s, point.score_s, point.update_s) == (1.25, 1.0, 2.0)
    assert (point.cpu_s, point.other_s, point.wall_s) == (5.25, 1.0, 5.0)
    assert (point.run.prompt_tokens, point.run.longest_response, point.run.num_samples) == (51, 48, 64)
    # of 3 and 2 seconds the longest is 1.2 times the mean
    assert point.rank_spread == pytest.approx((0.0 + 0.2) / 2)


def test_tables_say_what_was_computed():
    rows = tables.of_gpus().splitlines()[2:]
    assert len(rows) == len(tables.GPU_LAYOUTS) * len(tables.NUM_SAMPLES)
    time = tables.computed(tables.QWEN_1_5B, tables.DDP_1X8, 1024)
    assert f"| Qwen2.5-Coder-1.5B | 1x8 ddp | 1024 | {time.generate:.1f} |" in tables.of_gpus()
    assert f"| **{time.total:.1f}** | {1024 / time.total:.0f} | {128 / time.total:.1f} |" in tables.of_gpus()
    errors = [compare(point_on(MACHINE, ONE, RUN, is_fitted=False), replace(MACHINE, fixed_s=9.0))]
    assert f"processor seconds off by {errors[0].error:.0%} in the mean" in tables.of_comparisons(errors)


def test_the_plot_is_made_for_light_and_dark(tmp_path):
    write_svg(tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["plot.svg"]
    assert "prefers-color-scheme: dark" in drawn
    assert drawn.count("<polyline") == 3
    assert "not measured" in drawn
