"""Rotations, spheres and automata follow groups, for as long as they are asked to."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import memoalg as ma
from memoalg.nn.models._automaton import Automaton
from memoalg.nn.models._rotation_rnn import RotationRNN
from memoalg.nn.models._spherical import Spherical
from tests.nn.zoo.case import replaced

STEPS = 1000
ELEMENTS = list(itertools.permutations(range(3)))
IDENTITY, SWAP = ELEMENTS.index((0, 1, 2)), ELEMENTS.index((1, 0, 2))


def times(one, other):
    """The permutation i -> one[other[i]], by index: whole numbers, no matrix."""
    return ELEMENTS.index(tuple(ELEMENTS[one][i] for i in ELEMENTS[other]))


def products(letters, start, multiply):
    """The product of all letters of the episode so far, at every step."""
    product, found = IDENTITY, []
    for letter, begins in zip(letters, start, strict=True):
        product = multiply(IDENTITY if begins else product, int(letter))
        found.append(product)
    return np.array(found)


def axis_and_angle(permutation):
    """The turn of space that moves the corners of a triangle as the permutation does."""
    corners = np.exp(2j * np.pi * np.arange(3) / 3)
    if permutation in [(0, 1, 2), (1, 2, 0), (2, 0, 1)]:
        return np.array([0.0, 0.0, 1.0]), 2 * np.pi * permutation[0] / 3
    kept = corners[next(i for i in range(3) if permutation[i] == i)]
    return np.array([kept.real, kept.imag, 0.0]), np.pi


def cross(axis):
    """The matrix of the vector product with an axis."""
    x, y, z = axis
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def turn(axis, angle):
    """The rotation matrix, by the formula of Rodrigues."""
    k = cross(axis)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def hamilton(one, other):
    a, v, b, w = one[0], one[1:], other[0], other[1:]
    return np.concatenate([[a * b - v @ w], a * w + b * v + np.cross(v, w)])


def linear(layer, weight):
    weight = jnp.asarray(weight, jnp.float32)
    return replaced(layer, weight=weight, bias=jnp.zeros(len(weight)))


def rotations():
    """R(letter) is the turn of the triangle: 4 tan(angle / 4) about its axis, before the two Cayleys."""
    layer = RotationRNN(6, 6, 3, key=jax.random.key(0))
    pairs = [axis_and_angle(g) for g in ELEMENTS]
    skew = [4 * np.tan(angle / 4) * cross(axis) for axis, angle in pairs]
    generators = np.stack([a[np.triu_indices(3, 1)] for a in skew], axis=1)
    targets = np.stack([turn(axis, angle).ravel() for axis, angle in pairs])
    inputs, output = linear(layer.inputs, generators), linear(layer.output, targets)
    return replaced(layer, inputs=inputs, output=output)


def points():
    """The same turns, as h -> (c q / c) h / q: those of 1 / c, which none of them leaves where it is."""
    layer = Spherical(6, 6, 1, key=jax.random.key(0))
    c = np.array([0.5, 0.1, -0.7, 0.5])
    signs = np.array([1.0, -1.0, -1.0, -1.0])
    left, right, seen = [], [], []
    for axis, angle in map(axis_and_angle, ELEMENTS):
        q = np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * axis])
        turned = hamilton(hamilton(c, np.concatenate([[0.0], axis])), signs * c)[1:]
        left.append(angle / 2 * turned)
        right.append(-angle / 2 * axis)
        seen.append(hamilton(hamilton(c, hamilton(q, signs * c)), signs * q))
    generators = np.concatenate([np.stack(left, 1), np.stack(right, 1)])
    inputs, output = linear(layer.inputs, generators), linear(layer.output, np.stack(seen))
    return replaced(layer, inputs=inputs, output=output)


def states():
    """The automaton of the multiplication table: from i to i g on the letter g, all saturated."""
    layer = Automaton(6, 6, 6, key=jax.random.key(0))
    logits = np.full((1, 6, 6, 6), -100.0)
    for letter, state in itertools.product(range(6), range(6)):
        logits[0, letter, state, times(state, letter)] = 100.0
    return replaced(
        layer,
        choice=linear(layer.choice, 200 * np.eye(6)),
        transition_logits=jnp.asarray(logits, jnp.float32),
        output=linear(layer.output, np.eye(6)),
    )


# name -> a layer whose output is largest at the product of its letters; whether later ones come left
TRACKERS = {"rotation_rnn": (rotations, False), "spherical": (points, True)}
TRACKERS["automaton"] = (states, False)
METHODS = {"sequential": ma.Sequential, "associative": ma.Associative}
METHODS["sharded"] = lambda: ma.Sharded(
    "time", mesh=jax.make_mesh((1,), ("time",), axis_types=(AxisType.Auto,))
)


@functools.partial(jax.jit, static_argnums=3)
def run(layer, xs, start, method):
    if method == "steps":
        step = lambda carry, now: layer.step(carry, *now)
        return jax.lax.scan(step, layer.init_carry(), (xs, start))[1]
    return layer(layer.init_carry(), xs, start, method=METHODS[method]())[1]


def drawn(choices):
    rng = np.random.default_rng(0)
    return rng.choice(choices, STEPS), np.zeros(STEPS, bool)


def outputs(name, letters, start, method="sequential"):
    return run(TRACKERS[name][0](), jax.nn.one_hot(letters, 6), jnp.asarray(start), method)


@pytest.mark.parametrize("method", [*METHODS, "steps"])
@pytest.mark.parametrize("name", TRACKERS)
def test_the_products_of_s3_are_followed_for_a_thousand_steps(name, method):
    later_on_the_left = TRACKERS[name][1]
    multiply = (lambda a, b: times(b, a)) if later_on_the_left else times
    letters, start = drawn(6)
    start[[0, 700]] = True
    ys = outputs(name, letters, start, method)
    wanted = products(letters, start, multiply)
    np.testing.assert_array_equal(np.argmax(ys, axis=1), wanted)
    # Nothing faded: the winner is as far from the others as after one step.
    first = np.sort(outputs(name, letters[:1], start[:1])[0])
    ahead = np.sort(ys, axis=1)
    np.testing.assert_allclose(
        ahead[:, -1] - ahead[:, -2], np.full(STEPS, first[-1] - first[-2]), atol=1e-3
    )
    assert np.any(products(letters, start, lambda a, b: multiply(b, a)) != wanted)


@pytest.mark.parametrize("name", TRACKERS)
def test_parity_is_followed_for_a_thousand_steps(name):
    letters, start = drawn([IDENTITY, SWAP])
    ys = outputs(name, letters, start)
    odd = np.cumsum(letters == SWAP) % 2 == 1
    np.testing.assert_array_equal(np.argmax(ys, axis=1), np.where(odd, SWAP, IDENTITY))


def test_a_saturated_automaton_does_not_round():
    letters, start = drawn(6)
    wanted = np.eye(6)[products(letters, start, times)]
    for method in ("sequential", "associative"):
        np.testing.assert_array_equal(outputs("automaton", letters, start, method), wanted)


def test_a_soft_automaton_forgets_and_stays_a_distribution():
    """Where it began makes no difference in the end."""
    layer = Automaton(3, 20, 4, letters=6, heads=5, key=jax.random.key(0))
    layer = replaced(layer, output=linear(layer.output, np.eye(20)))
    xs, start = jax.random.normal(jax.random.key(1), (STEPS, 3)), jnp.zeros(STEPS, bool)
    ys = np.asarray(run(layer, xs, start, "sequential")).reshape(STEPS, 5, 4)
    np.testing.assert_allclose(ys.sum(axis=2), 1, atol=1e-6)
    assert np.all(ys >= 0)
    later = np.asarray(run(layer, xs, start.at[500].set(True), "sequential")).reshape(STEPS, 5, 4)
    assert np.max(np.abs(later[500] - ys[500])) > 0.1
    np.testing.assert_allclose(later[-1], ys[-1], atol=1e-6)


def test_automata_begin_as_permutations_of_which_the_first_stays():
    layer = Automaton(3, 2, 4, letters=6, heads=5, key=jax.random.key(0))
    rows = np.asarray(jax.nn.softmax(layer.transition_logits))
    np.testing.assert_allclose(np.sort(rows, axis=3)[..., -1], 0.95, atol=1e-6)
    np.testing.assert_array_equal(
        np.sort(rows.argmax(axis=3), axis=2), np.tile(np.arange(4), (5, 6, 1))
    )
    np.testing.assert_array_equal(rows[:, 0].argmax(axis=2), np.tile(np.arange(4), (5, 1)))


def test_points_stay_on_their_spheres():
    layer = Spherical(3, 12, 3, key=jax.random.key(0))
    layer = replaced(layer, output=linear(layer.output, np.eye(12)))
    xs = 3 * jax.random.normal(jax.random.key(1), (10_000, 3))
    ys = run(layer, xs, jnp.zeros(10_000, bool), "sequential").reshape(-1, 3, 4)
    np.testing.assert_allclose(np.linalg.norm(ys, axis=2), 1, atol=1e-5)


def test_rotations_stay_rotations():
    layer = RotationRNN(3, 32, 4, heads=2, key=jax.random.key(0))
    layer = replaced(layer, output=linear(layer.output, np.eye(32)))
    xs = 3 * jax.random.normal(jax.random.key(1), (10_000, 3))
    s = np.asarray(run(layer, xs, jnp.zeros(10_000, bool), "sequential"), np.float64)
    s = s.reshape(-1, 4, 4)[::100]
    np.testing.assert_allclose(s @ np.swapaxes(s, 1, 2), np.tile(np.eye(4), (200, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(s), 1, atol=1e-5)


def test_a_sphere_moves_by_the_exponential_of_a_skew_matrix():
    """Left and right multiplication are two skew matrices, and every skew matrix is a sum of such."""
    layer = Spherical(3, 4, 1, key=jax.random.key(0))
    layer = replaced(layer, output=linear(layer.output, np.eye(4)))
    xs = np.asarray(jax.random.normal(jax.random.key(1), (5, 3)))
    ys = run(layer, jnp.asarray(xs), jnp.zeros(5, bool), "sequential")
    h, zero = np.eye(4)[0], np.zeros(1)
    for x, y in zip(xs, ys, strict=True):
        u, v = np.split(np.asarray(layer.inputs.weight) @ x, 2)
        u, v = np.concatenate([zero, u]), np.concatenate([zero, v])
        skew = np.stack([hamilton(u, e) + hamilton(e, v) for e in np.eye(4)], axis=1)
        np.testing.assert_allclose(skew, -skew.T, atol=1e-7)
        h = np.asarray(jax.scipy.linalg.expm(jnp.asarray(skew))) @ h
        np.testing.assert_allclose(y, h, atol=1e-5)


def test_an_input_of_zero_turns_nothing_and_has_a_gradient():
    """|u| has no slope at zero, but the turn has: h moves by u + v."""
    layer = Spherical(3, 4, 1, key=jax.random.key(0))
    layer = replaced(layer, output=linear(layer.output, np.eye(4)))
    moved = lambda x: layer.step(layer.init_carry(), x, None)[1]
    np.testing.assert_array_equal(moved(jnp.zeros(3)), np.eye(4)[0])
    weight = layer.inputs.weight
    slopes = jax.jit(jax.jacrev(moved))(jnp.zeros(3))
    np.testing.assert_allclose(slopes, np.vstack([np.zeros(3), weight[:3] + weight[3:]]), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda key: RotationRNN(3, 2, 1, key=key), "state_size of at least 2"),
        (lambda key: RotationRNN(3, 2, 4, heads=0, key=key), "heads=0"),
        (lambda key: Spherical(3, 2, 0, key=key), "heads=0"),
        (lambda key: Automaton(3, 2, 4, letters=0, key=key), "letters=0"),
    ],
    ids=["plane", "rotation heads", "spheres", "letters"],
)
def test_bad_sizes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(jax.random.key(0))
