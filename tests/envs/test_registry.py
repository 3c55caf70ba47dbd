"""Names, anchors, scores."""

import numpy as np
import pytest

import memoalg.envs as envs

POPGYM_IDS = [name for name in envs.names() if name.startswith("popgym/")]


@pytest.mark.parametrize("name", POPGYM_IDS)
def test_an_id_makes_the_environment_of_that_name(name):
    env, params = envs.make(name)
    assert env.name == name
    assert isinstance(env, envs.AbstractEnvironment)
    assert type(params) is type(env.default_params())


def test_ids_are_unique():
    assert len(POPGYM_IDS) == 16 * 3
    assert len([name for name in envs.names() if name.startswith("memory/")]) == 10 * 3
    assert len(set(envs.names())) == len(envs.names())


def test_other_arguments_have_a_call_as_name():
    assert envs.RepeatPrevious(2, 5).name == "popgym/RepeatPrevious(2, 5)"
    assert envs.PositionOnlyCartPole(7).name == "popgym/PositionOnlyCartPole(7)"


UNKNOWN = {
    "popgym/RepeatPreviosEasy": "popgym/RepeatPreviousEasy",
    "RepeatPreviousEasy": "popgym/RepeatPreviousEasy",
    "popgym/repeatfirsthard": "popgym/RepeatFirstHard",
    "MemoryChain-bsuite": "gymnax/MemoryChain-bsuite",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_id_lists_the_nearest(name):
    with pytest.raises(ValueError, match=f"unknown environment '{name}'; nearest: {UNKNOWN[name]}"):
        envs.make(name)


def test_an_id_that_is_like_nothing_says_where_all_are():
    with pytest.raises(ValueError, match=r"names\(\) lists all, such as 'popgym/"):
        envs.make("qqqq")


def test_an_id_is_a_string(without_hook):
    with pytest.raises(TypeError, match="id as a string, got 3"):
        envs.make(3)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", POPGYM_IDS)
def test_scores_are_zero_at_random_and_one_at_the_optimum(name):
    scale = envs.anchors(name)
    assert scale.random < scale.optimal
    assert scale.memoryless is None or scale.random <= scale.memoryless < scale.optimal
    returns = np.array([scale.random, scale.optimal])
    np.testing.assert_allclose(envs.normalised_score(name, returns), [0.0, 1.0], atol=1e-12)


def test_a_score_without_anchors_is_explained():
    with pytest.raises(
        ValueError, match="'gymnax/CartPole-v1' has no anchors; the ids of popgym and"
    ):
        envs.normalised_score("gymnax/CartPole-v1", 1.0)


@pytest.mark.parametrize("name", ["gymnasium/CartPole-v1", "popgym-host/RepeatPreviousEasy"])
def test_an_environment_on_the_host_has_a_name_too(name):
    pytest.importorskip("popgym", exc_type=ImportError)
    env, params = envs.make(name)
    with env:
        assert (env.name, env.num_envs, params) == (name, 1, None)
