"""The table of the benchmark of rollout engines, by hand."""

from benchmarks.rollouts import Measurement, format_table, measure_engine
from lightning_modules.generation.sampler import SamplingParams
from tests.support.fake_engine import FakeEngine


def test_ratios_are_taken_within_a_round():
    # native: 10, 20, 30 tokens/s; vllm: 20, 20, 120, so ratios 2, 1, 4
    found = [
        Measurement("1.0 M", 2, engine, number, seconds, tokens, update_s)
        for engine, tokens, update_s, rounds in (
            ("native", 20, 0.0, (2.0, 1.0, 2 / 3)),
            ("vllm", 40, 0.5, (2.0, 2.0, 1 / 3)),
        )
        for number, seconds in enumerate(rounds, 1)
    ]
    lines = format_table(found).splitlines()[2:]
    assert lines == [
        "| 1.0 M | 2 | native | 20 (10 to 30) | 1.00 | 10 | 0.00 |",
        "| 1.0 M | 2 | vllm | 20 (20 to 120) | 2.00 | 20 | 0.50 |",
    ]


def test_an_engine_gets_the_weights_before_each_measurement():
    engine = FakeEngine()
    seconds, tokens, update_s = measure_engine(engine, None, [[1], [2]], SamplingParams(max_new_tokens=4), 3)
    assert engine.events == [("update", 3), ("generate", 2), ("sleep",)]
    assert tokens == 2
    assert seconds >= 0
    assert update_s >= 0
