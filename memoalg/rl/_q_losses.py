"""The loss of Q-learning on tokens: one function, whatever the tokens were laid out like."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._distributions import chosen_values


class TDParts(eqx.Module):
    """What one batch reports, all scalars, means over the transitions that count.

    Attributes:
        value_loss: That is made small.
        td_error: Absolute difference of value and target.
        mean_value: Value of the actions that were taken.
        real_share: Transitions that count, as a share of all tokens.
    """

    value_loss: Float[Array, ""]
    td_error: Float[Array, ""]
    mean_value: Float[Array, ""]
    real_share: Float[Array, ""]


def greedy_values(
    online: Float[Array, "*shape A"], target: Float[Array, "*shape A"], *, double: bool = True
) -> Float[Array, "*shape"]:
    """What an observation is worth to the token before it: the value of its best action.

    Args:
        online: Action values by the network that learns.
        target: Action values by the target network, which judges.
        double: The learning network chooses the action; otherwise the target network does both,
            and the largest of several noisy numbers is on average too large.

    Returns:
        One value per observation.

    Source:
        van Hasselt et al. 2016, Double Q-learning (arXiv 1509.06461), equation 4.

    Example:
        >>> import jax.numpy as jnp
        >>> import memoalg as ma
        >>> online, target = jnp.array([1.0, 2.0]), jnp.array([5.0, 3.0])
        >>> float(ma.rl.greedy_values(online, target))
        3.0
        >>> float(ma.rl.greedy_values(online, target, double=False))
        5.0
    """
    return chosen_values(target, jnp.argmax(online if double else target, axis=-1))


def next_token(values: Float[Array, "T *batch"]) -> Float[Array, "T *batch"]:
    """At each token the value of the token behind it in its row; the last one's is its own."""
    return jnp.concatenate([values[1:], values[-1:]])


def huber(error: Float[Array, "*shape"], delta: float | Array) -> Float[Array, "*shape"]:
    """Half the square up to `delta`, linear with slope `delta` beyond.

    Source:
        Huber 1964, Robust Estimation of a Location Parameter, section 1.
    """
    size = jnp.abs(error)
    return jnp.where(size <= delta, 0.5 * error**2, delta * (size - 0.5 * delta))


def q_loss(
    values: Float[Array, "*shape A"],
    next_values: Float[Array, "*shape"],
    actions: Int[Array, "*shape"],
    rewards: Float[Array, "*shape"],
    terminated: Bool[Array, "*shape"],
    mask: Bool[Array, "*shape"],
    *,
    discount: float | Array,
    delta: float | Array = 1.0,
    outside: bool = False,
) -> tuple[Float[Array, ""], TDParts]:
    r"""Mean Huber loss of `values` against `r + discount * next`, over the tokens of the mask.

    $$e = Q(a) - \bigl(r + \gamma\, [\text{not terminated}]\, V'\bigr), \qquad
      L = \mathrm{mean}\; \mathrm{Huber}_\delta(e)$$

    A transition that was truncated is bootstrapped from its final observation like any other. No
    gradient flows into `next_values`. Where the mask is false anything may stand, NaN included.

    Args:
        values: Of all actions, by the network that learns.
        next_values: What the observation that followed is worth: see `greedy_values`.
        actions: Taken.
        rewards: For the transition.
        terminated: Whether it ended the episode: nothing follows.
        mask: Which tokens count.
        discount: Per step, in [0, 1].
        delta: Where Huber's loss becomes linear, in units of return.
        outside: Take Huber's loss of the mean absolute error instead, as the paper's public code
            does for segments. Its gradient weighs all errors alike: below `delta` it is that of an
            absolute error, times the mean error.

    Returns:
        The loss and its parts; 0 where the mask is empty.

    Source:
        Mnih et al. 2015, Human-level control through deep reinforcement learning, equation 1.

    Example:
        >>> import jax.numpy as jnp
        >>> import memoalg as ma
        >>> values, following = jnp.array([[1.0, 9.0], [2.0, 9.0]]), jnp.array([4.0, 4.0])
        >>> ended, counts = jnp.array([False, True]), jnp.array([True, True])
        >>> loss, parts = ma.rl.q_loss(values, following, jnp.array([0, 0]), jnp.ones(2), ended,
        ...     counts, discount=0.5)
        >>> float(parts.td_error), float(loss)
        (1.5, 1.0)
    """
    chosen = chosen_values(values, actions)
    targets = q_targets(rewards, next_values, terminated, discount)
    error = jnp.where(mask, chosen - jax.lax.stop_gradient(targets), 0.0)
    size = masked_mean(jnp.abs(error), mask)
    loss = huber(size, delta) if outside else masked_mean(huber(error, delta), mask)
    return loss, TDParts(
        value_loss=loss,
        td_error=size,
        mean_value=masked_mean(chosen, mask),
        real_share=jnp.mean(mask.astype(values.dtype)),
    )


def q_targets(
    rewards: Float[Array, "*shape"],
    next_values: Float[Array, "*shape"],
    terminated: Bool[Array, "*shape"],
    discount: float | Array,
) -> Float[Array, "*shape"]:
    """`r + discount * next`, without the second term where the episode terminated."""
    return rewards + jnp.where(terminated, 0.0, discount * next_values)


def masked_mean(x: Float[Array, "*shape"], mask: Bool[Array, "*shape"]) -> Float[Array, ""]:
    """Mean over the true entries of the mask; 0 where there are none."""
    count = jnp.maximum(jnp.sum(mask, dtype=jnp.int32), 1)
    return jnp.sum(jnp.where(mask, x, 0.0)) / count.astype(x.dtype)
