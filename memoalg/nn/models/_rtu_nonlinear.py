"""The non-linear recurrent trace unit."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from .._cell import AbstractCell
from .._compose import Serial
from .._feed_forward import Pointwise
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import StaticFunction
from .._precision import wide
from ._rtu import rotation, trace_units


class NonlinearRTU(AbstractCell):
    r"""Recurrent trace units with the activation inside the recurrence: a cell, not a monoid.

    $$h^1_t = a(g \odot h^1_{t-1} - f \odot h^2_{t-1} + \gamma \odot W_1 x_t), \qquad
      h^2_t = a(g \odot h^2_{t-1} + f \odot h^1_{t-1} + \gamma \odot W_2 x_t), \qquad
      y_t = [h^1_t, h^2_t],$$

    with g, f and $\gamma$, and their initialisation, as in [`memoalg.nn.RTU`][]. It runs in a loop, or
    in parallel by [`memoalg.Newton`][].

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector, even: half of it is the number of units.
        activation: a, elementwise.
        r_min: smallest r at initialisation.
        r_max: largest r.
        max_phase: largest angle, in radians.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1 or an odd `out_size`, or where not `0 <= r_min < r_max <= 1` and
            `max_phase > 0`.

    Source: Elelimy et al., Real-Time Recurrent Learning using Trace Units in Reinforcement Learning
        (arXiv 2409.01449): the non-linear unit, as in the authors' code.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.NonlinearRTU(3, 8, activation=jnp.tanh, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 8)
    """

    nu_log: Float[Array, " units"]
    theta_log: Float[Array, " units"]
    W: Float[Array, "2 units in"]
    activation: StaticFunction
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        activation: Callable[[Array], Array] = jax.nn.relu,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 6.28,
        key: PRNGKeyArray,
    ):
        self.nu_log, self.theta_log, self.W = trace_units(
            "NonlinearRTU", (in_size, out_size), (r_min, r_max), max_phase, key
        )
        self.activation = StaticFunction(activation)
        self.in_size, self.out_size = in_size, out_size

    def project(self, x: Float[Array, " in"]) -> Float[Array, "2 units"]:
        _, _, gamma = rotation(self.nu_log, self.theta_log)
        pair = dense_product(x, self.W.reshape(-1, self.in_size)).reshape(2, -1)
        return gamma[None] * wide(pair)

    def advance(
        self, state: Float[Array, "2 units"], projected: Float[Array, "2 units"]
    ) -> Float[Array, "2 units"]:
        g, f, _ = rotation(self.nu_log, self.theta_log)
        one, two = state
        turned = jnp.stack([g * one - f * two, g * two + f * one])
        return self.activation(turned + projected)

    def output(self, state: Float[Array, "2 units"]) -> Float[Array, " out"]:
        return state.reshape(-1).astype(self.W.dtype)

    def initial_state(self) -> Float[Array, "2 units"]:
        return jnp.zeros((2, self.out_size // 2), wide(self.nu_log).dtype)


def rtu_nonlinear(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`W NonlinearRTU(x) + b`, with as many units, of two numbers each, as channels."""
    memory_key, output_key = jax.random.split(key)
    output = Linear(2 * width, width, key=output_key)
    memory = NonlinearRTU(width, 2 * width, key=memory_key)
    return Serial(memory, Pointwise(output, 2 * width, width))
