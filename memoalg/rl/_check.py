"""Does what was learned from match what was done?"""

import equinox as eqx
import numpy as np
from jaxtyping import PRNGKeyArray

from ._ppo import PPO
from ._state import Metrics


def check(algo: PPO, key: PRNGKeyArray, *, updates: int = 3, tolerance: float = 1e-4) -> Metrics:
    """Run a few updates and raise if the replayed policy is not the one that acted.

    In the first minibatch of an update no gradient step has been made yet, so the probability of
    each action must be what it was during the rollout. A reset one step late, a memory whose `step`
    and sequence call disagree, a carry stored at the wrong moment: each shows here, and in no
    learning curve.

    Args:
        algo: With one's own memory, environment or both.
        key: Random key.
        updates: How many to run; the first starts from fresh memories, so at least 2.
        tolerance: Largest allowed `|ratio - 1|`.

    Returns:
        The metrics of the updates, stacked.

    Raises:
        RuntimeError: The ratio is off, or a loss or gradient is not finite.

    Example:
        >>> import jax
        >>> import memoalg as ma
        >>> env, params = ma.envs.make("popgym/RepeatPreviousEasy")
        >>> config = ma.rl.PPOConfig(num_envs=4, num_steps=8)
        >>> algo = ma.rl.PPO(env, params, ma.rl.ActorCritic("gru", width=8), config)
        >>> metrics = ma.rl.check(algo, jax.random.key(0))
    """
    _, metrics = eqx.filter_jit(algo.train)(key, updates * algo.frames_per_update)
    error = float(np.max(np.asarray(metrics.first_ratio_error)))
    if not np.isfinite(np.asarray(metrics.grad_norm)).all():
        raise RuntimeError("check: a gradient is not finite.")
    if not error <= tolerance:
        raise RuntimeError(
            f"check: before the first gradient step the replayed policy differs from the one that "
            f"acted: largest |ratio - 1| is {error:.2e}, allowed is {tolerance:.0e}. The memory's "
            "step and sequence call disagree, or a reset is not where the episode starts."
        )
    return metrics
