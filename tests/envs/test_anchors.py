"""The table of returns: complete, equal to the formulas, and what ours and the originals return."""

import warnings

import numpy as np
import pytest

import memoalg.envs as envs
from benchmarks.anchors import measure, random_policy
from benchmarks.anchors_exact import EXACT
from memoalg.envs._registry import SUITES

OURS = [name for name in envs.names() if name.split("/")[0] in SUITES]
FAMILIES = {family.__name__: family for families in SUITES.values() for family in families}
LEVELS = ("Easy", "Medium", "Hard")


@pytest.mark.parametrize("name", OURS)
def test_every_task_has_all_three(name):
    scale = envs.anchors(name)
    assert scale.memoryless is not None
    random, optimal, memoryless = scale.errors
    # A search may find nothing better than chance, or (full observation) the best there is.
    assert scale.random - 4 * random <= scale.memoryless + 4 * memoryless
    assert scale.memoryless - 4 * memoryless <= scale.optimal + 4 * optimal
    assert scale.random < scale.optimal
    assert all(0 <= error < 0.02 * (scale.optimal - scale.random) for error in scale.errors)


# HigherLower's formula takes seconds for more than one deck.
CHECKED = [
    (family, level)
    for family in EXACT
    for level in LEVELS
    if family != "HigherLower" or level == "Easy"
]


@pytest.mark.parametrize(("family", "level"), CHECKED)
def test_the_table_is_what_the_formulas_give(family, level):
    suite = next(suite for suite, families in SUITES.items() if FAMILIES[family] in families)
    arguments = vars(FAMILIES[family])["levels"][LEVELS.index(level)]
    scale = envs.anchors(f"{suite}/{family}{level}")
    for part, value in EXACT[family](*arguments).items():
        assert getattr(scale, part) == pytest.approx(value, rel=1e-5, abs=1e-6), part
        assert scale.errors[("random", "optimal", "memoryless").index(part)] == 0


QUICK = ["popgym/AutoencodeEasy", "popgym/MineSweeperEasy", "memory/MemoryChainEasy"]
EASY = [name for name in OURS if name.endswith("Easy")]


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=() if x in QUICK else pytest.mark.slow) for x in EASY]
)
def test_a_random_policy_returns_what_the_table_says(name):
    env, params = envs.make(name)
    found, scale = measure(env, params, random_policy(env, params), 1024), envs.anchors(name)
    allowed = 4.5 * np.hypot(found.error, scale.errors[0])
    assert abs(found.value - scale.random) < allowed + 1e-5


POPGYM = [name for name in OURS if name.startswith("popgym/") and name.endswith("Easy")]


@pytest.mark.slow
@pytest.mark.parametrize("name", POPGYM)
def test_the_original_returns_the_same_at_random(name):
    gymnasium = pytest.importorskip("gymnasium")
    pytest.importorskip("popgym", exc_type=ImportError)
    short = name.removeprefix("popgym/").replace("VelocityOnlyCartPole", "VelocityOnlyCartpole")
    if "Labyrinth" in name:
        pytest.importorskip("mazelib")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gymnasium.make(f"popgym-{short}-v0").unwrapped
    env.action_space.seed(0)
    returns = []
    for episode in range(20 if "Labyrinth" in name else 150):
        env.reset(seed=episode)
        total, over = 0.0, False
        while not over:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    error = np.std(returns, ddof=1) / np.sqrt(len(returns))
    scale = envs.anchors(name)
    assert abs(np.mean(returns) - scale.random) < 4.5 * np.hypot(error, scale.errors[0])


def test_the_measure_sees_a_wrong_anchor():
    """The check of this file has teeth: memory's return is not chance."""
    env, params = envs.make("memory/MemoryChainEasy")

    def remembers(key, observation, state, weights):
        return env.oracle(state, params)

    found = measure(env, params, remembers, 64)
    assert found == (1.0, 0.0)
