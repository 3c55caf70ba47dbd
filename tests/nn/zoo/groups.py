"""Groups, geometry and Bayes filters, as in their papers."""

import jax
import jax.numpy as jnp

import memoalg as ma
from memoalg.algebra._hidden_markov import HiddenMarkov
from memoalg.nn.models._automaton import Automaton
from memoalg.nn.models._hmm import HMM
from memoalg.nn.models._kalman import KalmanFilter
from memoalg.nn.models._rotation_rnn import RotationRNN
from memoalg.nn.models._spherical import Spherical

from .case import Case, replaced


def _affine(linear, x):
    return linear.weight @ x + linear.bias


def _scaled(linear, scale):
    return replaced(linear, weight=scale * linear.weight, bias=scale * linear.bias)


def _columns(linear, order, axis):
    return replaced(linear, weight=jnp.take(linear.weight, jnp.asarray(order), axis))


def rotation_rnn_step(p, s, x):
    """S = S R; R = ((I + A/4) (I - A/4)⁻¹)²; y = W_o vec(S) + b_o."""
    heads, n, _ = s.shape
    entries, place, eye = _affine(p.inputs, x).reshape(heads, -1), 0, jnp.eye(n)
    a = jnp.zeros((heads, n, n))
    for i in range(n):
        for j in range(i + 1, n):
            a = a.at[:, i, j].set(entries[:, place]).at[:, j, i].set(-entries[:, place])
            place += 1
    cayley = (eye + a / 4) @ jnp.linalg.inv(eye - a / 4)
    s = s @ cayley @ cayley
    return s, _affine(p.output, s.ravel())


def _the_later_rotation_first(layer):
    monoid = ma.Power(ma.Dual(ma.Rotation(4)), 5)
    return ma.nn.Memoroid(monoid, layer.encode, layer.readout, in_size=3)


def _read_transposed(layer):
    order = jnp.arange(80).reshape(5, 4, 4).transpose(0, 2, 1).ravel()
    return replaced(layer, output=_columns(layer.output, order, 1))


def _turn(pure, sign):
    """exp of the skew matrices that multiply by (0, a, b, c), from the left or (-1) from the right."""
    (a, b, c), no = pure.T, jnp.zeros(len(pure))
    right = [[no, -a, -b, -c], [a, no, c, -b], [b, -c, no, a], [c, b, -a, no]]
    skew = jnp.moveaxis(jnp.array(right), 2, 0)
    skew = skew if sign < 0 else skew.at[:, 1:, 1:].multiply(-1)
    angle = jnp.sqrt(a * a + b * b + c * c)[:, None, None]
    return jnp.cos(angle) * jnp.eye(4) + jnp.sin(angle) / angle * skew


def spherical_step(p, h, x):
    """h = exp(A) h with A skew of order 4, in its two commuting parts."""
    u, v = _affine(p.inputs, x).reshape(2, -1, 3)
    h = jnp.einsum("hij,hjk,hk->hi", _turn(u, 1), _turn(v, -1), h)
    return h, _affine(p.output, h.ravel())


def _swapped_sides(layer):
    order = jnp.roll(jnp.arange(30), 15)
    inputs = _columns(layer.inputs, order, 0)
    return replaced(layer, inputs=replaced(inputs, bias=jnp.roll(layer.inputs.bias, 15)))


def _one_sided(layer):
    kept = jnp.arange(30) < 15
    inputs = layer.inputs
    weight = jnp.where(jnp.broadcast_to(kept[:, None], inputs.weight.shape), inputs.weight, 0)
    return replaced(
        layer, inputs=replaced(inputs, weight=weight, bias=jnp.where(kept, inputs.bias, 0))
    )


def automaton_step(p, s, x):
    """p = p Σ_c w_c P_c; w = softmax(W x + b), P_c = softmax of each row of L_c."""
    heads, letters, _, _ = p.transition_logits.shape
    weights = jnp.exp(_affine(p.choice, x).reshape(heads, letters))
    weights = weights / weights.sum(1, keepdims=True)
    rows = jnp.exp(p.transition_logits)
    rows = rows / rows.sum(3, keepdims=True)
    s = jnp.einsum("hi,hc,hcij->hj", s, weights, rows)
    return s, _affine(p.output, s.ravel())


def _columns_sum_to_one(layer):
    return replaced(layer, transition_logits=jnp.swapaxes(layer.transition_logits, 2, 3))


def _letters_reversed(layer):
    return replaced(layer, transition_logits=jnp.flip(layer.transition_logits, 1))


def _hardened_choice(layer):
    return replaced(layer, choice=_scaled(layer.choice, 4.0))


def hmm_start(p):
    prior = jnp.exp(p.initial_logits)
    return prior / prior.sum(1, keepdims=True)


def hmm_step(p, belief, x):
    """The forward algorithm on probabilities: p ∝ b(x) * (p A)."""
    a = jnp.exp(p.transition_logits)
    a = a / a.sum(2, keepdims=True)
    b = jnp.exp(_affine(p.likelihood, x)).reshape(belief.shape)
    belief = b * jnp.einsum("hi,hij->hj", belief, a)
    belief = belief / belief.sum(1, keepdims=True)
    return belief, _affine(p.output, belief.ravel())


class UpdateThenPredict(ma.AbstractMonoid):
    """The belief of the next step's state: the transition comes after the likelihood."""

    inner: HiddenMarkov

    def identity(self):
        return self.inner.identity()

    def combine(self, left, right):
        return self.inner.combine(left, right)

    def initial_state(self):
        return self.inner.initial_state()

    def act(self, state, element):
        return self.inner.act(state, element)

    def expand(self, generator):
        transition, likelihood = generator
        return transition + jnp.broadcast_to(likelihood[:, None], transition.shape)


def _update_then_predict(layer):
    return ma.nn.Memoroid(
        ma.Power(UpdateThenPredict(layer.monoid.monoid), layer.monoid.size),
        layer.encode,
        layer.readout,
        initial_state=layer.initial_state(),
        in_size=3,
    )


def _transition_of_columns(layer):
    return replaced(layer, transition_logits=layer.transition_logits.mT)


def _uniform_prior(layer):
    return replaced(layer, initial_logits=jnp.zeros_like(layer.initial_logits))


def _plain_likelihood(layer):
    return replaced(layer, likelihood=_scaled(layer.likelihood, 0.5))


def _diagonal(raw):
    return jax.vmap(jnp.diag)(jnp.log1p(jnp.exp(raw)))


def kalman_start(p):
    return p.initial_mean, _diagonal(p.initial_spread)


def kalman_step(p, state, x):
    """Predict m = F m, P = F P Fᵀ + Q; update by K = P Hᵀ (H P Hᵀ + R)⁻¹."""
    f, h = p.transition, p.observation
    seen = _affine(p.sensors, x).reshape(p.observation_noise.shape)
    q, r = _diagonal(p.process_noise), _diagonal(p.observation_noise)
    r = r + 1e-4 * jnp.eye(r.shape[1])
    mean = jnp.einsum("hij,hj->hi", f, state[0])
    covariance = f @ state[1] @ f.mT + q
    gain = covariance @ h.mT @ jnp.linalg.inv(h @ covariance @ h.mT + r)
    surprise = seen - jnp.einsum("hij,hj->hi", h, mean)
    mean = mean + jnp.einsum("hij,hj->hi", gain, surprise)
    covariance = covariance - gain @ h @ covariance
    variance = jax.vmap(jnp.diag)(covariance)
    return (mean, covariance), _affine(p.output, jnp.concatenate([mean.ravel(), variance.ravel()]))


def _transposed_transition(layer):
    return replaced(layer, transition=layer.transition.mT)


def _swapped_noises(layer):
    n, m = layer.process_noise, layer.observation_noise
    return replaced(
        layer,
        process_noise=jnp.concatenate([m, n[:, m.shape[1] :]], axis=1),
        observation_noise=n[:, : m.shape[1]],
    )


def _certain_start(layer):
    return replaced(layer, initial_spread=layer.initial_spread - 20.0)


def _variance_for_deviation(layer):
    weight = layer.output.weight
    half = jnp.arange(weight.shape[1]) < weight.shape[1] // 2
    dropped = jnp.where(jnp.broadcast_to(half[None], weight.shape), weight, 0)
    return replaced(layer, output=replaced(layer.output, weight=dropped))


CASES: dict[str, Case] = {
    "rotation_rnn": Case(
        lambda key: RotationRNN(3, 2, 4, heads=5, key=key),
        lambda p: jnp.broadcast_to(jnp.eye(4), (5, 4, 4)),
        rotation_rnn_step,
        {
            "turned the other way": lambda layer: replaced(
                layer, inputs=_scaled(layer.inputs, -1.0)
            ),
            "half the angles": lambda layer: replaced(layer, inputs=_scaled(layer.inputs, 0.5)),
            "the later rotation on the left": _the_later_rotation_first,
            "entries transposed": _read_transposed,
        },
    ),
    "spherical": Case(
        lambda key: Spherical(3, 2, 5, key=key),
        lambda p: jnp.broadcast_to(jnp.eye(4)[0], (5, 4)),
        spherical_step,
        {
            "left and right swapped": _swapped_sides,
            "turned from one side": _one_sided,
            "half the angles": lambda layer: replaced(layer, inputs=_scaled(layer.inputs, 0.5)),
        },
    ),
    "automaton": Case(
        lambda key: Automaton(3, 2, 6, letters=4, heads=5, key=key),
        lambda p: jnp.broadcast_to(jnp.eye(6)[0], (5, 6)),
        automaton_step,
        {
            "transitions of columns": _columns_sum_to_one,
            "letters reversed": _letters_reversed,
            "a harder choice": _hardened_choice,
        },
    ),
    "hmm": Case(
        lambda key: HMM(3, 2, 6, heads=5, key=key),
        hmm_start,
        hmm_step,
        {
            "update, then predict": _update_then_predict,
            "transitions of columns": _transition_of_columns,
            "uniform prior": _uniform_prior,
            "root of the likelihood": _plain_likelihood,
        },
    ),
    "kalman": Case(
        lambda key: KalmanFilter(3, 2, 5, observation_size=4, heads=6, key=key),
        kalman_start,
        kalman_step,
        {
            "transition transposed": _transposed_transition,
            "noises swapped": _swapped_noises,
            "certain start": _certain_start,
            "covariance not read": _variance_for_deviation,
        },
    ),
}
