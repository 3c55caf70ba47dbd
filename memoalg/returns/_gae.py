"""Generalised advantage estimation."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._backward import accumulate
from ._check import check_rollout


def gae(
    rewards: Float[Array, " time"],
    values: Float[Array, " time"],
    next_values: Float[Array, " time"],
    terminated: Bool[Array, " time"],
    truncated: Bool[Array, " time"],
    *,
    discount: float | Float[Array, ""],
    decay: float | Float[Array, ""],
) -> Float[Array, " time"]:
    r"""Generalised advantage estimates of every step of a rollout of any number of episodes.

    $$\delta_t = r_t + \gamma\,(0 \text{ if terminated}_t \text{ else } v'_t) - v_t, \qquad
      A_t = \delta_t + \gamma\lambda\,(0 \text{ if the episode ended at } t \text{ else } A_{t+1}),$$

    with $v'_t$ the value of the observation that followed step t and $A_T = 0$. Termination stops the
    bootstrap; termination and truncation both cut the trace.

    Arguments:
        rewards: float (time,).
        values: float (time,), value of the observation on which step t acted.
        next_values: float (time,), value of the observation that followed, the *final* one where an
            episode ended; not read where terminated.
        terminated: bool (time,).
        truncated: bool (time,).
        discount: gamma, in [0, 1], per step.
        decay: lambda, in [0, 1], per step.

    Returns:
        float (time,), the advantages; `advantages + values` are the value targets.

    Raises:
        TypeError: where a flag is not bool or a value not floating.
        ValueError: where shapes differ or there is a batch axis (use `jax.vmap`).

    Source: Schulman et al., High-Dimensional Continuous Control Using GAE, eq. 16; Theorem E.1 of
        arXiv 2402.09900, run from the end.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> no, zero = jnp.zeros(2, bool), jnp.zeros(2)
        >>> print(ma.returns.gae(jnp.ones(2), zero, zero, no, no, discount=1.0, decay=0.5))
        [1.5 1. ]
    """
    check_rollout(
        {"rewards": rewards, "values": values, "next_values": next_values},
        {"terminated": terminated, "truncated": truncated},
    )
    if rewards.shape[0] == 0:
        return rewards
    gamma = jnp.asarray(discount, rewards.dtype)
    followed = jnp.where(terminated, jnp.zeros_like(next_values), next_values)
    errors = rewards + gamma * followed - values
    trace = gamma * jnp.asarray(decay, rewards.dtype)
    return accumulate(errors, trace, terminated | truncated, jnp.zeros((), rewards.dtype))
