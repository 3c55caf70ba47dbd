"""The lambda-return."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._backward import accumulate
from ._check import check_rollout


def lambda_return(
    rewards: Float[Array, " time"],
    next_values: Float[Array, " time"],
    terminated: Bool[Array, " time"],
    truncated: Bool[Array, " time"],
    *,
    discount: float | Float[Array, ""],
    decay: float | Float[Array, ""],
) -> Float[Array, " time"]:
    r"""The lambda-return of every step of a rollout of any number of episodes.

    $$G_t = r_t + \gamma \begin{cases} 0 & \text{terminated}_t \\ v_t & \text{truncated}_t \\
      (1 - \lambda)\, v_t + \lambda\, G_{t+1} & \text{else} \end{cases}$$

    where $v_t$ is the value of the observation that followed step t, and $G_T = v_{T-1}$. With
    $\lambda = 0$ it is the one-step target, with $\lambda = 1$ [`memoalg.returns.discounted`][]. For
    action values $v$ is that of the best action (Peng's Q(lambda)).

    Arguments:
        rewards: float (time,).
        next_values: float (time,), value of the observation that followed step t, the *final* one
            where an episode ended; not read where terminated.
        terminated: bool (time,). Where both flags are true, terminated wins.
        truncated: bool (time,).
        discount: gamma, in [0, 1], per step.
        decay: lambda, in [0, 1], per step.

    Returns:
        float (time,).

    Raises:
        TypeError: where a flag is not bool or a value not floating.
        ValueError: where shapes differ or there is a batch axis (use `jax.vmap`).

    Source: Sutton and Barto, Reinforcement Learning (2nd edition, 2018), eq. 12.18.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> no, values = jnp.zeros(2, bool), jnp.array([4.0, 2.0])
        >>> print(ma.returns.lambda_return(jnp.ones(2), values, no, no, discount=1.0, decay=0.5))
        [4.5 3. ]
    """
    check_rollout(
        {"rewards": rewards, "next_values": next_values},
        {"terminated": terminated, "truncated": truncated},
    )
    if rewards.shape[0] == 0:
        return rewards
    gamma = jnp.asarray(discount, rewards.dtype)
    trace = jnp.asarray(decay, rewards.dtype)
    mixed = jnp.where(truncated, next_values, (1 - trace) * next_values)
    followed = jnp.where(terminated, jnp.zeros_like(mixed), mixed)
    ended = terminated | truncated
    return accumulate(rewards + gamma * followed, gamma * trace, ended, next_values[-1])
