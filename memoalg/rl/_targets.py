"""Advantages and value targets of a rollout, all environments at once."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from memoalg import returns

from ._rollout import Rollout


def following_values(rollout: Rollout) -> Float[Array, "T E"]:
    """The value of what followed each step within its episode.

    That of observation t+1; where step t was truncated, observation t+1 already belongs to the next
    episode and the final observation's is taken. Where it terminated it is not to be read.
    """
    return jnp.where(rollout.truncated, rollout.final_values, rollout.values[1:])


def gae_advantages(
    rollout: Rollout, *, discount: float | Float[Array, ""], decay: float | Float[Array, ""]
) -> Float[Array, "T E"]:
    """Generalised advantage estimates of a rollout (`ma.returns.gae` for every environment).

    Args:
        rollout: From `collect`.
        discount: Per step, in [0, 1].
        decay: Lambda per step, in [0, 1].

    Returns:
        The advantages; plus `rollout.values[:-1]` they are targets for the value.
    """
    estimate = partial(returns.gae, discount=discount, decay=decay)
    return jax.vmap(estimate, in_axes=1, out_axes=1)(
        rollout.rewards,
        rollout.values[:-1],
        following_values(rollout),
        rollout.terminated,
        rollout.truncated,
    )


def lambda_targets(
    rollout: Rollout, *, discount: float | Float[Array, ""], decay: float | Float[Array, ""]
) -> Float[Array, "T E"]:
    """Lambda-returns of a rollout (`ma.returns.lambda_return` for every environment).

    Args:
        rollout: From `collect`; of a Q-network, whose value is that of the best action.
        discount: Per step, in [0, 1].
        decay: Lambda per step, in [0, 1].

    Returns:
        The targets.
    """
    estimate = partial(returns.lambda_return, discount=discount, decay=decay)
    return jax.vmap(estimate, in_axes=1, out_axes=1)(
        rollout.rewards, following_values(rollout), rollout.terminated, rollout.truncated
    )
