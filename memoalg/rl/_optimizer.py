"""Adam behind a clip of the global norm; the learning rate's schedule counts in its state."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ._config import PPOConfig


def make_optimizer(config: PPOConfig) -> optax.GradientTransformation:
    """The optimiser that a configuration asks for.

    Args:
        config: Step size, annealing, clipping.

    Returns:
        An optax transformation.
    """
    rate = config.learning_rate
    if config.anneal_frames is not None:
        updates = max(1, round(config.anneal_frames / config.frames_per_update))
        rate = optax.linear_schedule(rate, 0.0, updates * config.epochs * config.minibatches)
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm),
        optax.adam(rate, eps=config.adam_eps),
    )


def global_norm(tree: PyTree[Array]) -> Float[Array, ""]:
    """Square root of the sum of all squares."""
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


def gradient_step(
    config: PPOConfig, params: PyTree[Array], gradient: PyTree[Array], optimizer: PyTree[Array]
) -> tuple[PyTree[Array], PyTree[Array]]:
    """One step of the optimiser.

    Args:
        config: As given to `make_optimizer`.
        params: Real arrays; layers keep complex parameters as pairs of them.
        gradient: Like `params`.
        optimizer: The optimiser's state.

    Returns:
        The new parameters and the new state.
    """
    # optax raises a Python float to an int32 count, which strict promotion forbids.
    with jax.numpy_dtype_promotion("standard"):
        changes, optimizer = make_optimizer(config).update(gradient, optimizer, params)
        return optax.apply_updates(params, changes), optimizer
