"""The discounted return."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._backward import accumulate
from ._check import check_rollout


def discounted(
    rewards: Float[Array, " time"],
    next_values: Float[Array, " time"],
    terminated: Bool[Array, " time"],
    truncated: Bool[Array, " time"],
    *,
    discount: float | Float[Array, ""],
) -> Float[Array, " time"]:
    r"""The discounted return of every step of a rollout of any number of episodes.

    $$G_t = r_t + \gamma \begin{cases} 0 & \text{terminated}_t \\ v_t & \text{truncated}_t \\
      G_{t+1} & \text{else} \end{cases}$$

    where $v_t$ is the value of the observation that followed step t, and $G_T = v_{T-1}$ bootstraps
    the episode that the rollout cuts. It is a reverse trajectory of [`memoalg.Affine`][].

    Arguments:
        rewards: float (time,).
        next_values: float (time,), value of the observation that followed step t, the *final* one
            where an episode ended; read only where truncated and at the end.
        terminated: bool (time,), the episode ended in a terminal state: nothing follows.
        truncated: bool (time,), the episode was cut: what would have followed has a value. Where both
            are true, terminated wins.
        discount: gamma, in [0, 1], per step.

    Returns:
        float (time,).

    Raises:
        TypeError: where a flag is not bool or a value not floating.
        ValueError: where shapes differ or there is a batch axis (use `jax.vmap`).

    Source: Theorem D.1 of arXiv 2402.09900, run from the end.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> no = jnp.zeros(3, bool)
        >>> print(ma.returns.discounted(jnp.ones(3), jnp.zeros(3), no, no, discount=0.5))
        [1.75 1.5  1.  ]
    """
    check_rollout(
        {"rewards": rewards, "next_values": next_values},
        {"terminated": terminated, "truncated": truncated},
    )
    if rewards.shape[0] == 0:
        return rewards
    gamma = jnp.asarray(discount, rewards.dtype)
    bootstrap = jnp.where(truncated & ~terminated, next_values, jnp.zeros_like(next_values))
    ended = terminated | truncated
    return accumulate(rewards + gamma * bootstrap, gamma, ended, next_values[-1])
