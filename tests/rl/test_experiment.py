"""Experiments by name: what is built, and what is saved."""

import json

import jax
import pytest

import memoalg as ma
from memoalg.rl._experiment import ALGORITHMS, Experiment, load_experiment, make_config

ENV = "popgym/RepeatFirstEasy"
SMALL = {"env": ENV, "memory": "mlp", "width": 4}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_is_built_saved_and_loaded(name, tmp_path):
    kind = ALGORITHMS[name]
    experiment = Experiment(**SMALL, depth=2, seed=3, config=kind.config_kind(discount=0.5))
    assert experiment.algorithm == name
    algorithm = experiment.build()
    assert type(algorithm) is kind
    assert algorithm.agent == kind.agent_kind("mlp", width=4, depth=2)
    experiment.save(tmp_path)
    assert load_experiment(tmp_path) == experiment
    assert json.loads((tmp_path / "command.json").read_text())[name]["discount"] == 0.5


def test_names_of_folders():
    assert Experiment(**SMALL, seed=3).name == "RepeatFirstEasy-mlp-seed3"
    pqn = Experiment(**SMALL, config=ALGORITHMS["pqn"].config_kind())
    assert pqn.name == "RepeatFirstEasy-mlp-pqn-seed0"


def test_wrappers_come_in_an_order_that_is_allowed():
    experiment = Experiment(
        **SMALL,
        previous_action=True,
        episode_start=True,
        normalise_observations=True,
        normalise_rewards=True,
        config=ma.rl.PPOConfig(num_envs=4, num_steps=8, discount=0.25),
    )
    algorithm = experiment.build()
    kinds, env = [], algorithm.env
    while isinstance(env, ma.envs.AbstractWrapper):
        kinds.append(type(env).__name__)
        env = env.env
    wanted = [
        "NormaliseReward",
        "NormaliseObservation",
        "Flatten",
        "EpisodeStart",
        "PreviousAction",
    ]
    assert kinds == wanted
    assert algorithm.env.discount == 0.25
    shape = jax.eval_shape(algorithm.init, jax.random.key(0)).rollout.observation.shape
    assert shape == (4, 4 + 5 + 1)  # suits, last action with its place for none, and the flag


def test_a_wider_observation_is_not_flattened_twice():
    experiment = Experiment(
        env="popgym/PositionOnlyCartPoleEasy", memory="mlp", width=4, normalise_observations=True
    )
    assert type(experiment.build().env.env).__name__ == "PositionOnlyCartPole"


def test_a_folder_from_before_there_were_several_algorithms(tmp_path):
    old = {
        "env": ENV,
        "memory": "lru",
        "width": 8,
        "depth": 1,
        "previous_action": False,
        "episode_start": True,
        "seeds": 2,
        "seed": 5,
        "ppo": {"num_envs": 4, "num_steps": 8, "minibatches": 1, "normalize_advantages": True},
    }
    (tmp_path / "command.json").write_text(json.dumps(old))
    experiment = load_experiment(tmp_path)
    assert experiment.algorithm == "ppo"
    assert experiment.config.normalize_advantages == "minibatch"
    assert (experiment.seeds, experiment.seed, experiment.episode_start) == (2, 5, True)


def test_what_is_there_already_stays(tmp_path):
    Experiment(**SMALL, seed=1).save(tmp_path)
    Experiment(**SMALL, seed=2).save(tmp_path)
    assert load_experiment(tmp_path).seed == 1


PQN = ALGORITHMS["pqn"].config_kind


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Experiment(memory="gruu").build(), "unknown model 'gruu'; nearest: gru"),
        (lambda: Experiment(env="popgym/RepeatFirstEsy").build(), "nearest: popgym/RepeatFirst"),
        (lambda: Experiment(dueling=True).build(), "ppo has no agent with dueling"),
        (lambda: Experiment(config=PQN(), separate=True).build(), "pqn has no agent with separate"),
        (
            lambda: Experiment(env="popgym/PositionOnlyPendulumEasy", config=PQN()).build(),
            "action values need finitely many actions",
        ),
        (lambda: Experiment(config=3).build(), "config must be one of PPOConfig, .*not int"),
        (lambda: make_config("sac", {}, "here"), "here: unknown algorithm 'sac'; there are ppo"),
        (
            lambda: make_config("ppo", {"learning_rat": 1.0}, "here"),
            "here: ppo has no 'learning_rat'; did you mean learning_rate?",
        ),
    ],
    ids=["memory", "env", "dueling", "separate", "continuous", "config", "algorithm", "field"],
)
def test_mistakes(build, message, without_hook):
    with pytest.raises((ValueError, TypeError), match=message):
        build()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"ppo": {}, "wdth": 3}, "of another version: it says wdth"),
        ({"ppo": {"clp": 3}}, "ppo has no 'clp'; did you mean clip?"),
        ({"algorithm": "sac", "sac": {}}, "unknown algorithm 'sac'"),
    ],
    ids=["field", "hyper-parameter", "algorithm"],
)
def test_a_folder_of_another_version(content, message, tmp_path):
    (tmp_path / "command.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        load_experiment(tmp_path)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="was not made by `memoalg train`"):
        load_experiment(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_experiment(tmp_path / "nowhere")
