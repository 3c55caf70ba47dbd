"""The one recurrence of all returns: an affine trajectory run from the end."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..algebra import Affine, Fixed
from ..scans import trajectory


def accumulate(
    inputs: Float[Array, " time"],
    decay: Float[Array, ""] | Float[Array, " time"],
    ended: Bool[Array, " time"],
    final: Float[Array, ""],
) -> Float[Array, " time"]:
    r"""$y_t = x_t + \text{decay}_t \cdot (0 \text{ if ended}_t \text{ else } y_{t+1})$, from `final`."""
    # `start` is true on the step after an end. The last step's end has no step after it in the
    # rollout: there the final value is dropped.
    start = jnp.concatenate([jnp.zeros_like(ended[:1]), ended[:-1]])
    state = jnp.where(ended[-1], jnp.zeros_like(final), final)
    monoid = Affine((), inputs.dtype)
    factors = decay if decay.ndim else Fixed(decay)
    _, outputs = trajectory(monoid, state, (factors, inputs), start, reverse=True)
    return outputs
