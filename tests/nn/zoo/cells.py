"""Recurrent cells, as in their papers."""

import jax
import jax.numpy as jnp

import memoalg as ma

from .case import Case


def gru_step(p, h, x):
    """The GRU of cuDNN: the reset gate multiplies the recurrent product."""
    u_r, u_z, u_n = jnp.split(p.recurrent, 3)
    r_x, z_x, n_x = jnp.split(p.inputs.weight @ x + p.inputs.bias, 3)
    r, z = jax.nn.sigmoid(r_x + u_r @ h), jax.nn.sigmoid(z_x + u_z @ h)
    n = jnp.tanh(n_x + r * (u_n @ h + p.candidate_bias))
    h = (1 - z) * n + z * h
    return h, h


CASES: dict[str, Case] = {
    "gru": Case(lambda key: ma.nn.GRU(3, 4, key=key), lambda p: jnp.zeros(4), gru_step),
}
