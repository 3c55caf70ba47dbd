"""From rates in continuous time to decays and gains of a step."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float


def zero_order_hold(
    real: Float[Array, "*shape"], imaginary: Float[Array, "*shape"], step: Float[Array, "*shape"]
) -> tuple[Complex[Array, "*shape"], Complex[Array, "*shape"]]:
    r"""$(e^{\Delta a}, (e^{\Delta a} - 1) / a)$: how $\dot h = a h + b$ moves on while b stands still.

    The difference is formed without cancellation: steps are small.
    """
    grown, turned = step * real, step * imaginary
    half = jnp.sin(turned / 2)
    less_one = jax.lax.complex(
        jnp.expm1(grown) * jnp.cos(turned) - 2 * half * half, jnp.exp(grown) * jnp.sin(turned)
    )
    return less_one + jnp.ones_like(less_one), less_one / jax.lax.complex(real, imaginary)
