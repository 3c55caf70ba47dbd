"""Spaces beside gymnasium's."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.envs import Box, Dict, Discrete, MultiDiscrete, Tuple

spaces = pytest.importorskip("gymnasium.spaces")

LOW, HIGH = np.array([-1.0, 0.0, -np.inf]), np.array([1.0, np.inf, np.inf])
PAIRS = {
    "discrete": (Discrete(5), spaces.Discrete(5)),
    "multi": (MultiDiscrete((2, 3, 4)), spaces.MultiDiscrete([2, 3, 4])),
    "box": (Box(-1.0, 2.0, (2, 3)), spaces.Box(-1.0, 2.0, (2, 3))),
    "unbounded": (Box(LOW, HIGH), spaces.Box(LOW.astype("f4"), HIGH.astype("f4"))),
    "far": (Box(1.0, 2.0, (2,)), spaces.Box(1.0, 2.0, (2,))),
    "bytes": (Box(0, 255, (2, 2), np.uint8), spaces.Box(0, 255, (2, 2), np.uint8)),
    "tuple": (
        Tuple((Discrete(3), Box(0.0, 1.0, (2,)), MultiDiscrete((2, 2)))),
        spaces.Tuple(
            (spaces.Discrete(3), spaces.Box(0.0, 1.0, (2,)), spaces.MultiDiscrete([2, 2]))
        ),
    ),
    "dict": (
        Dict({"z": Discrete(2), "a": Box(0.0, 1.0, (1,)), "m": Tuple((Discrete(3),))}),
        spaces.Dict(
            {
                "z": spaces.Discrete(2),
                "a": spaces.Box(0.0, 1.0, (1,)),
                "m": spaces.Tuple((spaces.Discrete(3),)),
            }
        ),
    ),
}


def as_numpy(x):
    return jax.tree.map(np.asarray, x)


@pytest.fixture(params=PAIRS)
def pair(request):
    return PAIRS[request.param]


def test_samples_are_in_both(pair):
    ours, theirs = pair
    sample, contains = jax.jit(ours.sample), jax.jit(ours.contains)
    for key in jax.random.split(jax.random.key(0), 20):
        x = sample(key)
        assert contains(x)
        assert theirs.contains(as_numpy(x))


def test_samples_of_gymnasium_are_in_ours_and_flatten_equally(pair):
    ours, theirs = pair
    theirs.seed(0)
    flatten = jax.jit(ours.flatten)
    for _ in range(20):
        # Under x64 off a Python or numpy int64 becomes an int32 array.
        x = jax.tree.map(jnp.asarray, dict(y) if isinstance(y := theirs.sample(), dict) else y)
        assert ours.contains(x)
        expected = spaces.flatten(theirs, as_numpy(x))
        assert flatten(x).shape == (ours.flat_size,)
        assert flatten(x).dtype == jnp.result_type(float)
        np.testing.assert_allclose(flatten(x), expected)


def test_sizes_and_bounds_equal(pair):
    ours, theirs = pair
    flat = spaces.flatten_space(theirs)
    assert ours.flat_size == spaces.flatdim(theirs)
    low, high = ours.flat_bounds()
    np.testing.assert_array_equal(low, flat.low)
    np.testing.assert_array_equal(high, flat.high)


def test_the_null_value_is_in_the_space(pair):
    ours, _ = pair
    assert ours.contains(ours.null())


def test_equal_by_value():
    made_again = {name: copy.deepcopy(ours) for name, (ours, _) in PAIRS.items()}
    for name, again in made_again.items():
        assert [other for other, (ours, _) in PAIRS.items() if ours == again] == [name]
        assert hash(again) == hash(PAIRS[name][0])


def test_a_box_is_readable():
    assert repr(Box(-1.0, 1.0, (2,))) == "Box(low=-1, high=1, shape=(2,), dtype=float32)"


def test_boxes_compare_by_value():
    assert Box(0.0, 1.0, (2,)) == Box(np.zeros(2), np.ones(2))
    assert hash(Box(0.0, 1.0, (2,))) == hash(Box(np.zeros(2), np.ones(2)))
    assert Box(0.0, 1.0, (2,)) != Box(0.0, 2.0, (2,))
    assert Dict({"a": Discrete(2), "b": Discrete(3)}) == Dict({"b": Discrete(3), "a": Discrete(2)})


OUTSIDE = {
    "too large": (Discrete(3), jnp.array(3)),
    "negative": (Discrete(3), jnp.array(-1)),
    "a float": (Discrete(3), jnp.array(1.0)),
    "a vector": (Discrete(3), jnp.array([1])),
    "a bool": (Discrete(3), jnp.array(True)),
    "one entry": (MultiDiscrete((2, 3)), jnp.array([1, 3])),
    "too short": (MultiDiscrete((2, 3)), jnp.array([1])),
    "above": (Box(0.0, 1.0, (2,)), jnp.array([0.5, 1.5])),
    "nan": (Box(0.0, 1.0, (2,)), jnp.array([0.5, jnp.nan])),
    "shape": (Box(0.0, 1.0, (2,)), jnp.array(0.5)),
    "not a tuple": (Tuple((Discrete(2),)), jnp.array(0)),
    "tuple length": (Tuple((Discrete(2),)), (jnp.array(0), jnp.array(0))),
    "tuple entry": (Tuple((Discrete(2), Discrete(2))), (jnp.array(0), jnp.array(2))),
    "keys": (Dict({"a": Discrete(2)}), {"b": jnp.array(0)}),
    "dict entry": (Dict({"a": Discrete(2)}), {"a": jnp.array(5)}),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_what_is_not_contained(case):
    space, x = OUTSIDE[case]
    assert not space.contains(x)
    assert not jax.jit(space.contains)(x)


BAD = {
    "no values": (lambda: Discrete(0), "positive int, got 0"),
    "float": (lambda: Discrete(2.0), "positive int, got 2.0"),  # pyright: ignore[reportArgumentType]
    "empty": (lambda: MultiDiscrete(()), "at least one entry"),
    "entry": (lambda: MultiDiscrete((2, 0)), "every entry takes a positive int, got 0"),
    "bounds": (lambda: Box(1.0, 0.0, (2,)), "low <= high"),
    "shape": (lambda: Box(np.zeros(3), 1.0, (2,)), r"shape \(3,\).*broadcast to \(2,\)"),
    "no spaces": (lambda: Tuple(()), "at least one space"),
    "no space": (lambda: Tuple((3,)), "Tuple takes spaces .* got 3"),  # pyright: ignore[reportArgumentType]
    "key": (lambda: Dict({1: Discrete(2)}), "strings as keys"),  # pyright: ignore[reportArgumentType]
    "no dict spaces": (lambda: Dict({}), "Dict takes at least one space"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()


def test_dtypes_follow_x64():
    with jax.enable_x64(True):
        box = Box(0.0, 1.0, (2,))
        assert box.sample(jax.random.key(0)).dtype == np.float64
        assert box.flatten(box.null()).dtype == np.float64
        assert Discrete(3).sample(jax.random.key(0)).dtype == np.int32
        assert Discrete(3).flatten(1).dtype == np.float64
    assert Box(0.0, 1.0, (2,)).dtype == np.float32
