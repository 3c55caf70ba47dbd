"""Actor-critic losses on arrays of any one shape; no networks, no environments."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def normalize(advantages: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Shift and scale to mean 0 and standard deviation 1.

    Args:
        advantages: Any shape; all entries are taken together.

    Returns:
        The normalised advantages.

    Example:
        >>> import jax.numpy as jnp
        >>> import memoalg as ma
        >>> [round(float(x), 2) for x in ma.rl.normalize(jnp.array([1.0, 3.0]))]
        [-1.0, 1.0]
    """
    return (advantages - jnp.mean(advantages)) / (jnp.std(advantages) + 1e-8)


def policy_loss(
    ratio: Float[Array, "*shape"], advantages: Float[Array, "*shape"], clip: float
) -> Float[Array, ""]:
    """PPO's clipped surrogate, `-mean(min(r A, clip(r, 1 - c, 1 + c) A))`.

    Args:
        ratio: Probability of the action now over its probability when it was taken.
        advantages: Of the action.
        clip: The range `c`.

    Returns:
        The loss to be made small.

    Source:
        Schulman et al. 2017, arXiv 1707.06347, equation 7.

    Example:
        >>> import jax.numpy as jnp
        >>> import memoalg as ma
        >>> float(ma.rl.policy_loss(jnp.array([2.0]), jnp.array([1.0]), 0.5))
        -1.5
    """
    clipped = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
    return -jnp.mean(jnp.minimum(ratio * advantages, clipped * advantages))


def policy_gradient_loss(
    log_probs: Float[Array, "*shape"], advantages: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """The plain policy gradient's surrogate, `-mean(log_prob A)`.

    Args:
        log_probs: Of the actions, now, in nats.
        advantages: Of the actions; no gradient flows through them.

    Returns:
        The loss to be made small.

    Source:
        Mnih et al. 2016, Asynchronous Methods for Deep RL (arXiv 1602.01783), section 4.

    Example:
        >>> import jax.numpy as jnp
        >>> import memoalg as ma
        >>> float(ma.rl.policy_gradient_loss(jnp.array([-1.0, -3.0]), jnp.array([2.0, 0.0])))
        1.0
    """
    return -jnp.mean(log_probs * jax.lax.stop_gradient(advantages))


def value_loss(
    values: Float[Array, "*shape"],
    old_values: Float[Array, "*shape"],
    targets: Float[Array, "*shape"],
    clip: float | None,
) -> Float[Array, ""]:
    """Half the mean squared error; with `clip`, the worse of it and the clipped value's.

    Args:
        values: Predicted now.
        old_values: Predicted during the rollout.
        targets: Returns to be predicted.
        clip: How far a value may move from `old_values`; None for the plain error.

    Returns:
        The loss to be made small.

    Example:
        >>> import jax.numpy as jnp
        >>> import memoalg as ma
        >>> float(ma.rl.value_loss(jnp.ones(3), jnp.ones(3), 3 * jnp.ones(3), None))
        2.0
    """
    error = (values - targets) ** 2
    if clip is not None:
        moved = old_values + jnp.clip(values - old_values, -clip, clip)
        # The larger of the two: with the smaller one the clip would reward leaving the range.
        error = jnp.maximum(error, (moved - targets) ** 2)
    return 0.5 * jnp.mean(error)


def explained_variance(
    values: Float[Array, "*shape"], targets: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """`1 - var(targets - values) / var(targets)`; 0 where the targets do not vary.

    Args:
        values: Predictions.
        targets: What they predict.

    Returns:
        1 for perfect predictions, 0 for a constant, negative for worse than a constant.

    Example:
        >>> import jax.numpy as jnp
        >>> import memoalg as ma
        >>> float(ma.rl.explained_variance(jnp.arange(3.0), jnp.arange(3.0)))
        1.0
    """
    total = jnp.var(targets)
    safe = jnp.where(total > 0, total, 1.0)
    return jnp.where(total > 0, 1.0 - jnp.var(targets - values) / safe, 0.0)
