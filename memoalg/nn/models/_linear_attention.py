"""Linear attention with its normaliser."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..._product import dense_product
from ..._typing import DTypeLike
from ...algebra import AbstractMonoid
from ...algebra._ground import fixed_dtype
from ...scans import AbstractOuterForm, Memory, Outer, outer_form
from ...scans._outer_form import with_ones
from .._compose import Residual, Serial
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._position import PositionalEncoding

KeyValue = tuple[Float[Array, "key value"], Float[Array, " key"]]


class NormalisedOuterSum(AbstractMonoid[KeyValue]):
    r"""Sums of outer products together with their normaliser: the memory of linear attention.

    $$(S, z) \bullet (S', z') = (S + S', z + z'), \qquad \mathrm{read}((S, z), q) = \frac{S^\top q}{z
      \cdot q}.$$

    A generator is the pair (k, v) that stands for $(k v^\top, k)$; keys and queries must be positive.
    Where $z \cdot q$ is zero, in floats an empty memory, the read is zero.

    Arguments:
        key_size: length of keys and queries.
        value_size: length of values.
        dtype: None is the default float.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.nn.NormalisedOuterSum(1, 2)
        >>> state = m.advance(m.identity(), (jnp.ones(1), jnp.array([4.0, 6.0])))
        >>> print(m.read(state, jnp.ones(1)))
        [4. 6.]
    """

    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, key_size: int, value_size: int, dtype: DTypeLike | None = None):
        self.key_size, self.value_size = key_size, value_size
        self.dtype = fixed_dtype(dtype)

    def identity(self) -> KeyValue:
        return (
            jnp.zeros((self.key_size, self.value_size), self.dtype),
            jnp.zeros(self.key_size, self.dtype),
        )

    def combine(self, left: KeyValue, right: KeyValue) -> KeyValue:
        return left[0] + right[0], left[1] + right[1]

    def expand(self, generator: tuple[Float[Array, " key"], Float[Array, " value"]]) -> KeyValue:
        k, v = generator
        return k[:, None] * v[None, :], k

    def read(self, state: KeyValue, query: Float[Array, " key"]) -> Float[Array, " value"]:
        total, normaliser = state
        return _normalised(query @ total, normaliser @ query)


def _normalised(total: Float[Array, "*time value"], weight: Float[Array, "*time"]) -> Array:
    weight = weight[..., None]
    # Select before and after the division: a zero must reach neither the value nor the gradient.
    safe = jnp.where(weight == 0, jnp.ones_like(weight), weight)
    return jnp.where(weight == 0, jnp.zeros_like(total), total / safe)


class NormalisedForm(AbstractOuterForm):
    """The normaliser is one more value, always one: it is read by the same row, and divides the others."""

    def writes(self, generators: PyTree) -> Outer:
        keys, values = generators
        return Outer(keys, with_ones(values), None, None)

    def memory(self, state: PyTree) -> Memory:
        total, normaliser = state
        return Memory(jnp.concatenate([total, normaliser[:, None]], axis=1))

    def state(self, memory: Memory) -> PyTree:
        return memory.matrix[:, :-1], memory.matrix[:, -1]

    def rows(self, queries: PyTree) -> Float[Array, "time key"]:
        return queries

    def reads(
        self, read: Float[Array, "time value"], exponents: Float[Array, " time"] | None
    ) -> PyTree:
        return _normalised(read[:, :-1], read[:, -1])


@outer_form.register
def _(monoid: NormalisedOuterSum) -> AbstractOuterForm | None:
    return NormalisedForm()


class LinearAttention(AbstractMemoroid):
    r"""Causal attention with a positive feature map instead of a softmax, as a recurrence.

    $$S_t = S_{t-1} + \phi(k_t) v_t^\top, \quad z_t = z_{t-1} + \phi(k_t), \quad
      y_t = W_o \frac{S_t^\top \phi(q_t)}{z_t \cdot \phi(q_t)}, \qquad \phi(x) = 1 + \mathrm{elu}(x),$$

    with $q, k, v$ linear in x. The weights of all values sum to one, because the normaliser is the
    sum of *all* keys. The read happens inside the scan.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: length of keys, and of values where `value_size` is None.
        value_size: length of values.
        key: for the initialisation.

    Source: Katharopoulos et al., Transformers are RNNs (arXiv 2006.16236), eqs. 16 to 20.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.LinearAttention(3, 2, 4, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> ys.shape
        (5, 2)
    """

    queries: Linear
    keys_values: Linear
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int,
        *,
        value_size: int | None = None,
        key: PRNGKeyArray,
    ):
        query_key, pair_key, output_key = jax.random.split(key, 3)
        self.in_size, self.out_size = in_size, out_size
        self.key_size = state_size
        self.value_size = state_size if value_size is None else value_size
        self.queries = Linear(in_size, self.key_size, key=query_key)
        self.keys_values = Linear(in_size, self.key_size + self.value_size, key=pair_key)
        self.output = Linear(self.value_size, out_size, key=output_key)

    @property
    def monoid(self) -> AbstractMonoid:
        return NormalisedOuterSum(self.key_size, self.value_size, self.output.weight.dtype)

    def encode(self, x: Float[Array, " in"]) -> tuple[Array, Array]:
        pair = self.keys_values(x)
        return _positive(pair[: self.key_size]), pair[self.key_size :]

    def query(self, x: Float[Array, " in"]) -> Float[Array, " key"]:
        return _positive(self.queries(x))

    def readout(self, read: Float[Array, " value"], x: Array) -> Float[Array, " out"]:
        return self.output(read)


def _positive(x: Array) -> Array:
    return 1 + jax.nn.elu(x)


def linear_attention(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + LinearAttention(x + position)`, with keys and values of a quarter of the width."""
    attention = LinearAttention(width, width, max(width // 4, 1), key=key)
    return Residual(Serial(PositionalEncoding(width), attention))
