"""Softmax attention over a sliding window."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ..._tree import tree_where
from ..._typing import DTypeLike
from ...algebra import AbstractMonoid, Recent
from ...algebra._ground import fixed_dtype
from ...scans._window_form import WindowForm, window_form
from .._check import check_sizes
from .._compose import Residual, Serial
from .._feed_forward import FeedForward, Pointwise
from .._heads import check_heads, heads_for
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import RMSNorm
from .._precision import wide
from .._relative_position import AbstractRelativePosition, NoPosition, Rotary

State = tuple[Float[Array, "k heads pair"], Int[Array, ""]]


class SoftmaxWindow(AbstractMonoid[State]):
    r"""The last k pairs of keys and values, read by a softmax over those that there are.

    $$\mathrm{read}(s, q) = \sum_{j} p_j v_j, \qquad
      p = \mathrm{softmax}_j(d^{-1/2}\, q \cdot k_j + b_j).$$

    A generator is one row for each head, its key and after it its value; the buffer is
    [`memoalg.Recent`][]. A query holds vectors for several heads of queries, a multiple of the heads of
    keys: as many consecutive ones share a head of keys. Where nothing was written the read is zero.

    Arguments:
        k: how many pairs are remembered.
        heads: of keys and values.
        key_size: length of a key.
        value_size: length of a value.
        position: how age changes keys or scores.
        dtype: None is the default float.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.nn.SoftmaxWindow(2, 1, 1, 1)
        >>> state = m.advance(m.initial_state(), jnp.array([[0.0, 4.0]]))
        >>> state = m.advance(state, jnp.array([[0.0, 6.0]]))
        >>> print(m.read(state, jnp.ones((1, 1))))
        [[5.]]
    """

    k: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    position: AbstractRelativePosition
    dtype: np.dtype = eqx.field(static=True)

    def __init__(
        self,
        k: int,
        heads: int,
        key_size: int,
        value_size: int,
        position: AbstractRelativePosition = NoPosition(),
        dtype: DTypeLike | None = None,
    ):
        check_sizes("SoftmaxWindow", k=k, heads=heads, key_size=key_size, value_size=value_size)
        self.k, self.heads = k, heads
        self.key_size, self.value_size = key_size, value_size
        self.position, self.dtype = position, fixed_dtype(dtype)

    @property
    def buffer(self) -> Recent:
        """The monoid of the pairs."""
        return Recent((self.heads, self.key_size + self.value_size), self.k, self.dtype)

    def identity(self) -> State:
        return self.buffer.identity()

    def combine(self, left: State, right: State) -> State:
        return self.buffer.combine(left, right)

    def expand(self, generator: Float[Array, "heads pair"]) -> State:
        return self.buffer.expand(generator)

    def advance(self, state: State, generator: Float[Array, "heads pair"]) -> State:
        return self.buffer.advance(state, generator)

    def canon(self, element: State) -> State:
        return self.buffer.canon(element)

    def read(
        self, state: State, query: Float[Array, "queries key"]
    ) -> Float[Array, "queries value"]:
        # One step: its window is all the rows there are.
        pairs, count = state
        return self.read_together(pairs, count[None], query[None])[0]

    def read_together(
        self,
        rows: Float[Array, "rows heads pair"],
        counts: Int[Array, " time"],
        queries: Float[Array, "time queries key"],
    ) -> Float[Array, "time queries value"]:
        """What consecutive steps read, of the rows in which their windows lie."""
        steps, many = queries.shape[:2]
        if many % self.heads:
            raise ValueError(
                f"SoftmaxWindow: {many} query heads do not divide among heads={self.heads} of keys"
            )
        step, row = (jnp.arange(n, dtype=counts.dtype) for n in (steps, rows.shape[0]))
        age = step[:, None] + (self.k - 1) - row[None, :]
        seen = (age >= 0) & (age < counts[:, None])
        # Products of matrices would spread NaN over episodes: it is taken out, and marked.
        good_rows = jnp.all(jnp.isfinite(rows), axis=(1, 2))
        good = jnp.all(jnp.isfinite(queries), axis=(1, 2)) & ~jnp.any(
            seen & ~good_rows[None], axis=1
        )
        rows = tree_where(good_rows, rows, jnp.zeros_like(rows))
        queries = tree_where(good, queries, jnp.zeros_like(queries))
        keys = self.position.turned(rows[..., : self.key_size], row)
        queries = self.position.turned(queries, step + (self.k - 1))
        grouped = queries.reshape(steps, self.heads, -1, self.key_size)
        scores = wide(jnp.einsum("thqd,rhd->hqtr", grouped, keys)) * self.key_size**-0.5
        bias = self.position.bias(many, age.astype(scores.dtype))
        if bias is not None:
            scores = scores + bias.reshape(scores.shape)
        weights = _softmax(scores, seen).astype(rows.dtype)
        reads = jnp.einsum("hqtr,rhv->thqv", weights, rows[..., self.key_size :])
        reads = tree_where(good, reads, jnp.full_like(reads, jnp.nan))
        return reads.reshape(steps, many, self.value_size)


def _softmax(scores: Array, seen: Bool[Array, "time rows"]) -> Float[Array, "h q time rows"]:
    """Over what is seen; zeros where nothing is."""
    seen, there = seen[None, None], jnp.any(seen, axis=1)[None, None, :, None]
    largest = jnp.max(jnp.where(seen, scores, -jnp.inf), axis=-1, keepdims=True)
    # Where nothing is seen, minus infinity less itself would be NaN.
    largest = jax.lax.stop_gradient(jnp.where(there, largest, 0))
    weights = jnp.where(seen, jnp.exp(jnp.where(seen, scores - largest, 0)), 0)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return weights / jnp.where(there, total, 1)


@window_form.register
def _(monoid: SoftmaxWindow) -> WindowForm | None:
    return WindowForm(monoid.k, read=monoid.read_together)


class Attention(AbstractMemoroid):
    r"""Softmax attention over the last k steps, in several heads.

    $$y_t = W_o \big[\textstyle\sum_{j} p^{(h)}_{tj} v^{(g)}_j\big]_h, \qquad
      p^{(h)}_t = \mathrm{softmax}_j\big(d^{-1/2}\, q^{(h)}_t \cdot k^{(g)}_j + b^{(h)}_{t-j}\big),$$

    with q, k and v linear in x and j over the last k steps, the present one included, as far as they
    lie in this episode. Consecutive heads of queries share a head g of keys and values where there are
    fewer of them. Positions are relative. The monoid is [`memoalg.nn.SoftmaxWindow`][], whose buffer is
    [`memoalg.Recent`][].

    What is k steps ago or more is forgotten entirely, and the carry grows with k: one key and one value
    for each step.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        size: length of all queries together.
        k: the number of steps that are seen, the present one included.
        value_size: length of what all heads read together; None is `size`.
        heads: of queries.
        key_heads: of keys and values; None is `heads`, 1 is multi-query attention.
        position: `ma.nn.NoPosition()`, `ma.nn.Rotary()` or `ma.nn.ALiBi()`.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, or where sizes do not divide into heads, or `heads` not into
            `key_heads`.
        TypeError: where `position` is not a position.

    Source: Vaswani et al., Attention Is All You Need (arXiv 1706.03762), section 3.2; the window:
        Beltagy et al., Longformer (arXiv 2004.05150), section 3.1; shared keys: Ainslie et al., GQA
        (arXiv 2305.13245).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Attention(3, 2, 8, 5, heads=2, key=jax.random.key(0))
        >>> (pairs, count), ys = layer(layer.init_carry(), jnp.ones((7, 3)), None)
        >>> pairs.shape, int(count), ys.shape
        ((5, 2, 8), 5, (7, 2))
    """

    queries: Linear
    pairs: Linear
    output: Linear
    position: AbstractRelativePosition
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    k: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    key_heads: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        size: int,
        k: int,
        *,
        value_size: int | None = None,
        heads: int = 1,
        key_heads: int | None = None,
        position: AbstractRelativePosition = NoPosition(),
        key: PRNGKeyArray,
    ):
        if min(in_size, out_size, k) < 1:
            raise ValueError(
                f"Attention needs sizes of at least 1, got in_size={in_size}, "
                f"out_size={out_size}, k={k}"
            )
        if not isinstance(position, AbstractRelativePosition):
            raise TypeError(
                f"Attention: position is an object such as ma.nn.Rotary(), got {position!r}"
            )
        values = size if value_size is None else value_size
        groups = heads if key_heads is None else key_heads
        check_heads("Attention", heads, size=size, value_size=values)
        if groups < 1 or heads % groups:
            raise ValueError(
                f"Attention: heads={heads} must be a multiple of key_heads={groups}: as many heads "
                "of queries share each head of keys and values"
            )
        query_key, pair_key, output_key = jax.random.split(key, 3)
        width = groups * ((size + values) // heads)
        self.queries = Linear(in_size, size, use_bias=False, key=query_key)
        self.pairs = Linear(in_size, width, use_bias=False, key=pair_key)
        self.output = Linear(values, out_size, use_bias=False, key=output_key)
        self.position = position
        self.in_size, self.out_size, self.k = in_size, out_size, k
        self.size, self.value_size = size, values
        self.heads, self.key_heads = heads, groups

    @property
    def monoid(self) -> AbstractMonoid:
        key_size, value_size = self.size // self.heads, self.value_size // self.heads
        dtype = self.output.weight.dtype
        return SoftmaxWindow(self.k, self.key_heads, key_size, value_size, self.position, dtype)

    def encode(self, x: Float[Array, " in"]) -> Float[Array, "heads pair"]:
        # A float32 input must not widen what a bfloat16 memory holds.
        return self.pairs(x).astype(self.output.weight.dtype).reshape(self.key_heads, -1)

    def query(self, x: Float[Array, " in"]) -> Float[Array, "queries key"]:
        return self.queries(x).astype(self.output.weight.dtype).reshape(self.heads, -1)

    def readout(
        self, read: Float[Array, "queries value"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        return self.output(read.reshape(-1))


def attention(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`h = x + Attention(norm(x)); h + FeedForward(norm(h))`, rotary, over the last 64 steps."""
    attention_key, mix_key = jax.random.split(key)
    heads = heads_for(width)
    attend = Attention(width, width, width, 64, heads=heads, position=Rotary(), key=attention_key)
    mix = FeedForward(width, -(-8 * width // 3), width, key=mix_key)
    first, second = (Pointwise(RMSNorm(width), width, width) for _ in range(2))
    return Serial(
        Residual(Serial(first, attend)),
        Residual(Serial(second, Pointwise(mix, width, width))),
    )
