"""V-trace: value targets and advantages from what another policy did."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._backward import accumulate
from ._check import check_rollout


def vtrace(
    rewards: Float[Array, " time"],
    values: Float[Array, " time"],
    next_values: Float[Array, " time"],
    terminated: Bool[Array, " time"],
    truncated: Bool[Array, " time"],
    log_ratios: Float[Array, " time"],
    *,
    discount: float | Float[Array, ""],
    decay: float | Float[Array, ""] = 1.0,
    clip: float | Float[Array, ""] = 1.0,
    trace_clip: float | Float[Array, ""] = 1.0,
) -> tuple[Float[Array, " time"], Float[Array, " time"]]:
    r"""V-trace targets and the advantages for the policy gradient.

    With $\rho_t = \min(\bar\rho, w_t)$ and $c_t = \lambda \min(\bar c, w_t)$, where $w_t$ is the
    probability of the action under the learned policy over that under the one that acted,

    $$\delta_t = \rho_t\,(r_t + \gamma\, v'_t - v_t), \qquad
      u_t - v_t = \delta_t + \gamma\, c_t\, (u_{t+1} - v_{t+1}), \qquad
      A_t = \rho_t\,(r_t + \gamma\, u'_t - v_t),$$

    where $v'_t$, the value of what followed, is 0 where terminated, and $u'_t$ is $u_{t+1}$ within an
    episode and $v'_t$ at its end and at the rollout's. Both ends of an episode cut the trace.

    Arguments:
        rewards: float (time,).
        values: float (time,), value of the observation on which step t acted.
        next_values: float (time,), value of the observation that followed, the *final* one where an
            episode ended; not read where terminated.
        terminated: bool (time,).
        truncated: bool (time,).
        log_ratios: float (time,), $\log w_t$, in nats.
        discount: gamma, in [0, 1], per step.
        decay: lambda, in [0, 1], per step.
        clip: $\bar\rho$, at least 0.
        trace_clip: $\bar c$, at least 0 and at most `clip`.

    Returns:
        The targets $u$ and the advantages $A$, float (time,).

    Raises:
        TypeError: where a flag is not bool or a value not floating.
        ValueError: where shapes differ or there is a batch axis (use `jax.vmap`).

    Source: Espeholt et al., IMPALA (arXiv 1802.01561), eq. 1 and section 4.2.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> no, zero = jnp.zeros(2, bool), jnp.zeros(2)
        >>> on_policy = ma.returns.vtrace(jnp.ones(2), zero, zero, no, no, zero, discount=1.0)
        >>> print(*on_policy)
        [2. 1.] [2. 1.]
    """
    check_rollout(
        {
            "rewards": rewards,
            "values": values,
            "next_values": next_values,
            "log_ratios": log_ratios,
        },
        {"terminated": terminated, "truncated": truncated},
    )
    if rewards.shape[0] == 0:
        return rewards, rewards
    dtype, zeros = rewards.dtype, jnp.zeros_like(next_values)
    gamma, ended = jnp.asarray(discount, dtype), terminated | truncated
    ratios = jnp.exp(log_ratios)
    weights = jnp.minimum(jnp.asarray(clip, dtype), ratios)
    traces = jnp.asarray(decay, dtype) * jnp.minimum(jnp.asarray(trace_clip, dtype), ratios)
    followed = jnp.where(terminated, zeros, next_values)
    errors = weights * (rewards + gamma * followed - values)
    corrections = accumulate(errors, gamma * traces, ended, jnp.zeros((), dtype))
    targets = values + corrections
    cut = ended.at[-1].set(True)
    later = jnp.where(cut, followed, jnp.roll(targets, -1))
    return targets, weights * (rewards + gamma * later - values)
