"""The state of a run of reinforcement learning in its checkpoints, beyond weights and optimizer.

Saving is done by Lightning, restoring by `RLModule`.
"""

from collections.abc import Mapping
from typing import Any

STATE_KEY = "rl_state"
"""Key of the state in a checkpoint."""


def read_state(
    checkpoint: Mapping[str, Any], *, init_from: str, reference_sha256: str, has_critic: bool
) -> Mapping[str, Any]:
    """Return the state in a checkpoint.

    Args:
        checkpoint: Of Lightning.
        init_from: Where the policy and the reference policy of this run come from.
        reference_sha256: Hash of the weights of the reference policy.
        has_critic: Whether this run has a critic.

    Raises:
        ValueError: The checkpoint is not one of `RLModule`, the reference policy has other weights, or the critic is of
            an old version.
    """
    state = checkpoint.get(STATE_KEY)
    if state is None:
        raise ValueError(
            f"the checkpoint has no {STATE_KEY}, so it is not one of RLModule; to start from it, set "
            "model.init_args.init_from"
        )
    if state["reference_sha256"] != reference_sha256:
        raise ValueError(
            f"the weights of init_from {init_from} differ from those the run started from, which would change "
            "the KL penalty; restore that checkpoint"
        )
    weights = checkpoint.get("state_dict", {})
    if has_critic and weights and "policy.return_moments" not in weights:
        raise ValueError(
            "the checkpoint is of a version before 0.2.0, whose critic does not predict normalized returns; to "
            "start from its policy, set model.init_args.init_from"
        )
    return state
