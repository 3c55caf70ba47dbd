"""Elementwise linear recurrences, as in their papers."""

import jax.numpy as jnp

import memoalg as ma

from .case import Case, replaced


def lru_step(p, h, x):
    """h = λ h + γ B x; y = Re(C h) + D x; λ = exp(-exp(ν) + i exp(θ))."""
    lam = jnp.exp(-jnp.exp(p.nu_log) + 1j * jnp.exp(p.theta_log))
    b, c = p.B[0] + 1j * p.B[1], p.C[0] + 1j * p.C[1]
    h = lam * h + jnp.exp(p.gamma_log) * (b @ x)
    return h, (c @ h).real + p.D @ x


def _without_gamma(layer):
    return replaced(layer, gamma_log=jnp.zeros_like(layer.gamma_log))


def _conjugated(layer):
    return replaced(layer, C=layer.C * jnp.array([[[1.0]], [[-1.0]]]))


CASES: dict[str, Case] = {
    "lru": Case(
        lambda key: ma.nn.LRU(3, 2, 5, key=key),
        lambda p: jnp.zeros(5, complex),
        lru_step,
        {"no input scale": _without_gamma, "readout of the conjugate": _conjugated},
    ),
}
