"""Adam behind a clip of the global norm; the learning rate's schedule counts in its state."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree, UInt32


def make_optimizer(
    learning_rate: float,
    *,
    max_grad_norm: float,
    eps: float,
    end: float = 0.0,
    anneal_steps: int | None = None,
    rectified: bool = False,
) -> optax.GradientTransformation:
    """Adam behind a clip of the global norm.

    Args:
        learning_rate: Step size, at first; a number or a scalar array.
        max_grad_norm: Gradients are scaled down to this global norm.
        eps: Adam's epsilon.
        end: What the step size falls to.
        anneal_steps: Gradient steps until it is there; None keeps it constant.
        rectified: RAdam, which warms up by itself (Liu et al. 2019, arXiv 1908.03265).

    Returns:
        An optax transformation.
    """
    rate = learning_rate
    if anneal_steps is not None:
        rate = optax.linear_schedule(learning_rate, end, anneal_steps)
    kind = optax.radam if rectified else optax.adam
    return optax.chain(optax.clip_by_global_norm(max_grad_norm), kind(rate, eps=eps))


def gradient_steps(frames: int | None, frames_per_update: int, per_update: int) -> int | None:
    """Gradient steps that are made during so many environment steps, at least one update's."""
    if frames is None:
        return None
    return max(1, round(frames / frames_per_update)) * per_update


def global_norm(tree: PyTree[Array]) -> Float[Array, ""]:
    """Square root of the sum of all squares."""
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


def gradient_step(
    transformation: optax.GradientTransformation,
    params: PyTree[Array],
    gradient: PyTree[Array],
    optimizer: PyTree[Array],
) -> tuple[PyTree[Array], PyTree[Array]]:
    """One step of the optimiser.

    Args:
        transformation: From `make_optimizer`.
        params: Real arrays; layers keep complex parameters as pairs of them.
        gradient: Like `params`.
        optimizer: The optimiser's state.

    Returns:
        The new parameters and the new state.
    """
    # optax raises a Python float to an int32 count, which strict promotion forbids.
    with jax.numpy_dtype_promotion("standard"):
        changes, optimizer = transformation.update(gradient, optimizer, params)
        return optax.apply_updates(params, changes), optimizer


def linear(
    begin: float, end: float, frames: UInt32[Array, ""], over: int | None
) -> Float[Array, ""]:
    """A number that goes linearly from `begin` to `end` during `over` environment steps.

    Args:
        begin: At frame 0; a number or a scalar array.
        end: From frame `over` on.
        frames: Environment steps so far.
        over: How many it takes; None stays at `begin`.

    Returns:
        The number, default float.
    """
    dtype = jnp.result_type(float)
    first = jnp.asarray(begin, dtype)
    if over is None:
        return first
    share = jnp.minimum(frames.astype(dtype) / over, jnp.ones((), dtype))
    return first + (jnp.asarray(end, dtype) - first) * share
