"""A memory that is a rotation, turned by each input."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._solve import solve
from ...algebra import AbstractMonoid, Power, Rotation
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide


class RotationRNN(AbstractMemoroid):
    r"""A product of rotations, one for each input: an exact memory of a group.

    $$S_t = S_{t-1} R(x_t), \qquad R(x) = C(\tfrac14 A(x))^2, \quad C(Z) = (I + Z)(I - Z)^{-1}, \qquad
      y_t = W_o \,\mathrm{vec}(S_t) + b_o,$$

    for each head, with $S_0 = I$ and the skew-symmetric matrix A(x), of order n, whose entries above the
    diagonal are linear in x. C is the Cayley transform, which maps skew matrices to rotations without
    the eigenvalue -1. Its square reaches *every* rotation, half turns among them, without which there is
    no parity; it differs from $e^A$ in the third order of A, and is cheaper. The monoid is
    `Power(ma.Rotation(n), heads)`, in float32 or wider. Nothing is forgotten or added: what the state
    holds is the product of the rotations, whose order matters for n of at least 3.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: n, the dimensions of each rotation; the state has n² numbers a head.
        heads: independent rotations.
        key: for the initialisation.

    Raises:
        ValueError: where a size is below 1, or `state_size` below 2.

    Source: the Cayley transform of a skew matrix as an orthogonal recurrence: Helfrich, Willmott and Ye
        (arXiv 1707.09520), who reach the eigenvalue -1 by fixed signs instead of the square. Rotations
        that depend on the input as an associative memory: the Rotational Unit of Memory
        (arXiv 1710.09537), where they depend on the state too and turn a state that is added to. Heads
        of rotations: RotRNN (arXiv 2407.07239), whose rotations are the same at every step. Their
        common part, a product of rotations of the inputs alone, is this model and has no paper.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.RotationRNN(3, 2, 4, heads=5, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((7, 3)), None)
        >>> carry.shape, ys.shape
        ((5, 4, 4), (7, 2))
    """

    inputs: Linear
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    state_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)

    def __init__(
        self, in_size: int, out_size: int, state_size: int, *, heads: int = 1, key: PRNGKeyArray
    ):
        if min(in_size, out_size, heads) < 1 or state_size < 2:
            raise ValueError(
                "RotationRNN needs sizes of at least 1 and state_size of at least 2, got "
                f"in_size={in_size}, out_size={out_size}, state_size={state_size}, heads={heads}"
            )
        in_key, out_key = jax.random.split(key)
        planes = state_size * (state_size - 1) // 2
        self.inputs = Linear(in_size, heads * planes, key=in_key)
        self.output = Linear(heads * state_size**2, out_size, key=out_key)
        self.in_size, self.out_size = in_size, out_size
        self.state_size, self.heads = state_size, heads

    @property
    def monoid(self) -> AbstractMonoid:
        dtype = wide(self.output.weight).dtype
        return Power(Rotation(self.state_size, dtype), self.heads)

    def encode(self, x: Float[Array, " in"]) -> Float[Array, "heads n n"]:
        n = self.state_size
        upper = wide(self.inputs(x)).reshape(self.heads, -1)
        skew = jnp.zeros((self.heads, n, n), upper.dtype)
        skew = skew.at[:, *np.triu_indices(n, 1)].set(upper / 4)
        skew = skew - skew.mT
        eye = jnp.broadcast_to(jnp.eye(n, dtype=skew.dtype), skew.shape)
        # (I + Z)(I - Z)⁻¹ = 2 (I - Z)⁻¹ - I. I - Z is never near singular: it is longer than I.
        cayley = 2 * jax.vmap(solve)(eye - skew, eye) - eye
        return cayley @ cayley

    def readout(self, read: Float[Array, "heads n n"], x: Array) -> Float[Array, " out"]:
        return self.output(read.ravel().astype(self.output.weight.dtype))


def rotation_rnn(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + RotationRNN(norm(x))`, with a rotation of 4 dimensions for every 16 channels."""
    memory = RotationRNN(width, width, 4, heads=max(width // 16, 1), key=key)
    return PreNorm(width, memory)
