"""Models that pass every law and are not what they are called: their recurrence sees them."""

# pyright: reportCallIssue=false

import jax
import jax.numpy as jnp
import numpy as np

import memoalg as ma
from tests.laws.mutant import Mutant


def elu1(x):
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _first(read, x):
    return read


def _second(read, x):
    return read[1]


def _half(x):
    return jnp.full(2, 0.5, x.dtype), x


def _memoroid(monoid, encode, readout=_first, query=None):
    return ma.nn.Memoroid(monoid, encode, readout, query=query, in_size=2)


def _lawful(wrong, right, step, initial_state, what):
    return Mutant(
        lambda: (wrong(), step, initial_state),
        what,
        "assert_matches_recurrence",
        right=lambda: (right(), step, initial_state),
    )


def _leaky(h, x):
    h = 0.5 * h + x
    return h, h


class _LateLRU(ma.nn.LRU):
    def encode(self, x):
        decay, entering = ma.nn.LRU.encode(self, x)
        return decay, decay.value * entering


def _lru(kind):
    return kind(2, 2, 3, key=jax.random.key(0))


def _lru_step(h, x):
    model = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), _lru(ma.nn.LRU))
    eigenvalues = np.exp(-np.exp(model.nu_log) + 1j * np.exp(model.theta_log))
    h = eigenvalues * h + np.exp(model.gamma_log) * ((model.B[0] + 1j * model.B[1]) @ x)
    return h, ((model.C[0] + 1j * model.C[1]) @ h).real + model.D @ x


class _InvertedGRU(ma.nn.GRU):
    def activate(self, state, gates, rest, own):
        new = ma.nn.GRU.activate(
            self, state, (gates[0], jnp.full_like(gates[1], -jnp.inf)), rest, own
        )
        return state + jax.nn.sigmoid(gates[1]) * (new - state)


def _gru(kind):
    return kind(2, 3, key=jax.random.key(0))


def _gru_step(h, x):
    model = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), _gru(ma.nn.GRU))
    u_r, u_z, u_n = np.split(model.recurrent, 3)
    r_x, z_x, n_x = np.split(model.inputs.weight @ x + model.inputs.bias, 3)
    r, z = sigmoid(r_x + u_r @ h), sigmoid(z_x + u_z @ h)
    h = (1 - z) * np.tanh(n_x + r * (u_n @ h + model.candidate_bias)) + z * h
    return h, h


class _CountsSteps(ma.AbstractMonoid):
    """Linear attention whose normaliser counts the steps."""

    inner: ma.nn.NormalisedOuterSum

    def identity(self):
        return self.inner.identity()

    def combine(self, left, right):
        return self.inner.combine(left, right)

    def expand(self, generator):
        outer, key = self.inner.expand(generator)
        return outer, jnp.ones_like(key)

    def read(self, state, query):
        return self.inner.read(state, query)


def _feature(x):
    return jax.nn.elu(x) + 1


def _attention(monoid):
    return _memoroid(monoid, lambda x: (_feature(x), x), query=lambda x: _feature(-x))


def _attention_step(state, x):
    total, weight = state
    state = total + np.outer(elu1(x), x), weight + elu1(x)
    return state, elu1(-x) @ state[0] / (state[1] @ elu1(-x))


def _written(x):
    return x[:, None] * jnp.tanh(x)[None, ::-1]


def _fast_weights(readout):
    return _memoroid(ma.Add((2, 2)), _written, readout)


def _fast_weights_step(s, x):
    s = s + np.outer(x, np.tanh(x)[::-1])
    return s, s.T @ x


class _DeltaOnValues(ma.DeltaRule):
    """The transition acts on the value axis, consistently."""

    def combine(self, left, right):
        return right[0] @ left[0], self.act(left[1], right)

    def act(self, state, element):
        return element[0] @ state + element[1]

    def advance(self, state, generator):
        return self.act(state, self.expand(generator))


def _delta(monoid):
    return _memoroid(monoid, _delta_generator, lambda read, x: read @ _direction(x)[::-1])


def _direction(x):
    return jnp.tanh(x) / 2 + jnp.array([0.25, 0.5], x.dtype)


def _delta_generator(x):
    half = jnp.asarray(0.5, x.dtype)
    return _direction(x), jnp.cos(x[::-1]), half, half + half


def _delta_step(s, x):
    key, value = np.tanh(x) / 2 + np.array([0.25, 0.5]), np.cos(x[::-1])
    s = s + 0.5 * np.outer(value - s @ key, key)
    return s, s @ key[::-1]


class _WindowBackwards(ma.Window):
    def read(self, state, query):
        held, count = self.canon(state)
        return ma.Window(ma.Dual(self.monoid), self.size).read((held, count), query)


def _windowed(kind):
    return _memoroid(kind(ma.Affine(2), 3), _turning, _second, query=_zero)


def _turning(x):
    return jnp.cos(x), x


def _zero(x):
    return x


def _window_step(past, x):
    past = [*past, x][-3:]
    h = np.zeros(2)
    for seen in past:
        h = np.cos(seen) * h + seen
    return past, h


class _LastAsFirst(ma.First):
    def combine(self, left, right):
        return ma.Last(self.shape, self.dtype).combine(left, right)


def _flagged(x):
    return x, x[::-1] > 0.25


def _valid_first(read, x):
    return jnp.where(read[1], read[0], 0)


def _first_step(state, x):
    value, valid = state
    state = np.where(valid, value, x), valid | (x[::-1] > 0.25)
    return state, np.where(state[1], state[0], 0)


class _LeastIndex(ma.ArgMax):
    def combine(self, left, right):
        return jnp.maximum(left[0], right[0]), jnp.minimum(left[1], right[1])


def _indexed(x):
    return x, jnp.where(x[::-1] > 0, 7, 3).astype(jnp.int32)


def _index(read, x):
    return read[1]


def _arg_max_step(state, x):
    value, index = state
    new = np.where(x[::-1] > 0, 7, 3)
    later = (x > value) | ((x == value) & (new < index))
    state = np.where(later, x, value), np.where(later, new, index)
    return state, state[1]


class _NeverForgets(ma.StabilisedOuter):
    """The forget gate moves the scale, and not what is stored."""

    def act(self, state, element):
        kept = ma.StabilisedOuter(self.key_size, self.value_size, self.dtype)
        return kept.act(state, (jnp.zeros_like(element[0]), *element[1:]))


def _exponential(monoid):
    return _memoroid(monoid, _gates, query=lambda x: jnp.cos(x))


def _gates(x):
    return jnp.sin(x), x, jnp.asarray(-0.5, x.dtype), jnp.cos(x[0])


def _exponential_step(state, x):
    memory, normaliser = state
    write = np.exp(np.cos(x[0]))
    memory = np.exp(-0.5) * memory + write * np.outer(np.sin(x), x)
    normaliser = np.exp(-0.5) * normaliser + write * np.sin(x)
    return (memory, normaliser), np.cos(x) @ memory / max(abs(normaliser @ np.cos(x)), 1)


def _matrix(x):
    return jnp.stack([jnp.cos(x), jnp.sin(x)])


def _product_step(product, x):
    product = product @ np.stack([np.cos(x), np.sin(x)])
    return product, product


def _moved(x):
    return jnp.where(x[0] > 0, jnp.array([1, 2, 0]), jnp.array([1, 0, 2])).astype(jnp.int32)


def _permutation_step(images, x):
    images = np.where(x[0] > 0, np.array([1, 2, 0]), np.array([1, 0, 2]))[images]
    return images, images


class _OnColumns(ma.AbstractAction):
    def __call__(self, base, acting):
        return base * acting[None, :]


def _gated(action):
    product = ma.SemidirectProduct(ma.Multiply(2), ma.Add((2, 2)), action)
    return _memoroid(product, lambda x: (jnp.cos(x), _written(x)))


def _gated_step(s, x):
    s = np.cos(x)[:, None] * s + np.outer(x, np.tanh(x)[::-1])
    return s, s


class _TransposedMatvec(ma.AbstractAction):
    def __call__(self, base, acting):
        return base @ acting.T


def _rotating(action):
    product = ma.SemidirectProduct(ma.Dual(ma.MatMul(2)), ma.Add((2, 2)), action)
    return _memoroid(product, lambda x: (_matrix(x) / 2, _written(x)))


def _rotating_step(s, x):
    s = np.stack([np.cos(x), np.sin(x)]) / 2 @ s + np.outer(x, np.tanh(x)[::-1])
    return s, s


class _MomentsOfOne(ma.Moments):
    """Chan's cross term is missing everywhere, so deviations stay zero."""

    def combine(self, left, right):
        merged = ma.Moments(self.shape, self.dtype).combine(left, right)
        return *merged[:2], left[2] + right[2]

    def advance(self, state, generator):
        return self.combine(state, self.expand(generator))


def _variance(read, x):
    return read.variance


def _moments_step(seen, x):
    seen = [*seen, x]
    return seen, np.var(seen, axis=0)


class _UnswappedDual(ma.Dual):
    def combine(self, left, right):
        return self.monoid.combine(left, right)


def _mirrored_step(state, x):
    """Later factors act first: (a, b) after x is (a a', a b' + b)."""
    a, b = state
    state = 0.5 * a, a * x + b
    return state, state[1]


LAWFUL: dict[str, Mutant] = {
    "Affine: dual": _lawful(
        lambda: _memoroid(ma.Dual(ma.Affine(2)), _half, _second),
        lambda: _memoroid(ma.Affine(2), _half),
        _leaky,
        np.zeros(2),
        "operands are swapped",
    ),
    "Affine: no decay": _lawful(
        lambda: _memoroid(ma.Multiply(2) * ma.Add(2), _half, _second),
        lambda: _memoroid(ma.Affine(2), _half),
        _leaky,
        np.zeros(2),
        "the decay is multiplied up and acts on nothing",
    ),
    "LRU: late": _lawful(
        lambda: _lru(_LateLRU),
        lambda: _lru(ma.nn.LRU),
        _lru_step,
        np.zeros(3, complex),
        "what enters decays at once",
    ),
    "GRU: inverted": _lawful(
        lambda: _gru(_InvertedGRU),
        lambda: _gru(ma.nn.GRU),
        _gru_step,
        np.zeros(3),
        "the update gate keeps where it should replace",
    ),
    "NormalisedOuterSum: steps": _lawful(
        lambda: _attention(_CountsSteps(ma.nn.NormalisedOuterSum(2, 2))),
        lambda: _attention(ma.nn.NormalisedOuterSum(2, 2)),
        _attention_step,
        (np.zeros((2, 2)), np.zeros(2)),
        "the normaliser counts steps",
    ),
    "Add: FWP": _lawful(
        lambda: _fast_weights(lambda read, x: read @ x),
        lambda: _fast_weights(lambda read, x: x @ read),
        _fast_weights_step,
        np.zeros((2, 2)),
        "FWP: the read contracts the value axis",
    ),
    "DeltaRule: DeltaNet": _lawful(
        lambda: _delta(_DeltaOnValues(2, 2)),
        lambda: _delta(ma.DeltaRule(2, 2)),
        _delta_step,
        np.zeros((2, 2)),
        "DeltaNet: the transition acts on the value axis, consistently",
    ),
    "Window: read": _lawful(
        lambda: _windowed(_WindowBackwards),
        lambda: _windowed(ma.Window),
        _window_step,
        [],
        "what is held is multiplied newest first",
    ),
    "First: last": _lawful(
        lambda: _memoroid(_LastAsFirst(2), _flagged, _valid_first),
        lambda: _memoroid(ma.First(2), _flagged, _valid_first),
        _first_step,
        (np.zeros(2), np.zeros(2, bool)),
        "the last valid value is kept",
    ),
    "ArgMax: least index": _lawful(
        lambda: _memoroid(_LeastIndex(2), _indexed, _index),
        lambda: _memoroid(ma.ArgMax(2), _indexed, _index),
        _arg_max_step,
        (np.full(2, -np.inf), np.full(2, 2**31 - 1)),
        "the least index, whatever the value",
    ),
    "StabilisedOuter: never forgets": _lawful(
        lambda: _exponential(_NeverForgets(2, 2)),
        lambda: _exponential(ma.StabilisedOuter(2, 2)),
        _exponential_step,
        (np.zeros((2, 2)), np.zeros(2)),
        "the forget gate is multiplied up and acts on nothing",
    ),
    "MatMul: dual": _lawful(
        lambda: _memoroid(ma.Dual(ma.MatMul(2)), _matrix),
        lambda: _memoroid(ma.MatMul(2), _matrix),
        _product_step,
        np.eye(2),
        "operands are swapped",
    ),
    "Permutation: dual": _lawful(
        lambda: _memoroid(ma.Dual(ma.Permutation(3)), _moved),
        lambda: _memoroid(ma.Permutation(3), _moved),
        _permutation_step,
        np.arange(3),
        "the later map is applied first",
    ),
    "MultiplyAction: trailing axis": _lawful(
        lambda: _gated(_OnColumns()),
        lambda: _gated(ma.multiply),
        _gated_step,
        np.zeros((2, 2)),
        "decays are aligned with the trailing axis, as numpy does",
    ),
    "MatvecAction: last axis": _lawful(
        lambda: _rotating(_TransposedMatvec()),
        lambda: _rotating(ma.matvec),
        _rotating_step,
        np.zeros((2, 2)),
        "the matrix contracts the last axis of a square memory",
    ),
    "Moments: deviations": _lawful(
        lambda: _memoroid(_MomentsOfOne(2), _zero, _variance, _zero),
        lambda: _memoroid(ma.Moments(2), _zero, _variance, _zero),
        _moments_step,
        [],
        "the cross term is missing everywhere, consistently",
    ),
    "Dual: unswapped": _lawful(
        lambda: _memoroid(_UnswappedDual(ma.Affine(2)), _half, _second),
        lambda: _memoroid(ma.Dual(ma.Affine(2)), _half, _second),
        _mirrored_step,
        (np.ones(2), np.zeros(2)),
        "nothing is swapped",
    ),
}
"""By `class: mistake`; each passes all laws. What is built is given to `assert_matches_recurrence`."""
