"""What a decoded token costs the host: one wait for the device, whatever the number of layers, and no upload."""

import pytest

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def reports(run_simulated):
    return {(one["kind"], one["layers"]): one for one in run_simulated("programs.decode")}


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_tokens_are_those_of_the_cpu(reports, kind):
    assert all(reports[kind, layers]["same"] for layers in (2, 4))


def test_native_decoder_waits_once_per_token(reports):
    for layers in (2, 4):
        one = reports["llama", layers]
        assert one["waits"] == 1, one["waits_by_name"]
        assert one["uploads"] == 0


def test_other_models_do_not_wait_per_layer(reports):
    assert reports["gpt2", 4]["waits"] == reports["gpt2", 2]["waits"]


def test_rows_that_end_cost_no_wait_of_their_own(reports):
    for layers in (2, 4):
        one = reports["ends", layers]
        assert one["num_ends"] > 2  # the model does end rows
        assert one["waits"] <= 1  # besides one for each token
    assert reports["ends", 2]["waits"] == reports["ends", 4]["waits"]


def test_decoding_builds_no_attention_plan_per_token(reports):
    """Kernels that plan for each shape (cuDNN) would plan at every token; the decoder multiplies matrices instead."""
    assert reports["llama", 2]["attention"] == 1  # reading the prompts
    assert reports["llama", 2]["gqa"] == 0  # with a mask, unequal heads would run the math kernel


def test_packed_rows_have_an_aligned_mask_that_needs_no_conversion(reports):
    one = reports["packed", 0]
    assert one["gpu"] == pytest.approx(one["cpu"], rel=1e-5)
    [call] = one["attention"]
    assert "mask [1, 1, 64, 64] float" in call
