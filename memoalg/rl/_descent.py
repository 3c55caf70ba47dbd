"""One gradient step on a network: what every algorithm does with its loss."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, PyTree

from ._optimizer import global_norm, gradient_step


class StepParts(eqx.Module):
    """What a gradient step reports.

    Attributes:
        parts: Of the loss.
        grad_norm: Global norm of the gradient before clipping.
    """

    parts: Any
    grad_norm: Float[Array, ""]


def descend(
    loss: Callable[[Any], tuple[Float[Array, ""], Any]],
    params: PyTree[Array],
    static: PyTree,
    transformation: optax.GradientTransformation,
    optimizer: PyTree[Array],
) -> tuple[PyTree[Array], PyTree[Array], StepParts]:
    """One step of the optimiser on a loss of the network; arrays of integers stay as they are.

    Args:
        loss: Of the network: the loss and its parts.
        params: The network's arrays.
        static: The network without its arrays.
        transformation: From `make_optimizer`.
        optimizer: Its state.

    Returns:
        The new arrays, the new state, and what the step reports.
    """
    trained, fixed = eqx.partition(params, eqx.is_inexact_array)

    def of_trained(trained: PyTree[Array]) -> tuple[Float[Array, ""], Any]:
        return loss(eqx.combine(trained, fixed, static))

    gradient, parts = jax.grad(of_trained, has_aux=True)(trained)
    trained, optimizer = gradient_step(transformation, trained, gradient, optimizer)
    return eqx.combine(trained, fixed), optimizer, StepParts(parts, global_norm(gradient))
