"""Which ids were replayed against the original, how far, and whether any step differed.

    python -m tests.envs.replay_table

Runs the tests that compare every step and prints one line for each id.
"""

import collections
import sys
from typing import Any

import pytest

# The family of a test's case: by the test, and where one test has several families by its arguments.
FAMILIES = {
    "test_autoencode": "Autoencode",
    "test_battleship": "Battleship",
    "test_concentration": "Concentration",
    "test_count_recall": "CountRecall",
    "test_higher_lower": "HigherLower",
    "test_labyrinth": "Labyrinth{family}",
    "test_mine_sweeper": "MineSweeper",
    "test_multiarmed_bandit": "MultiarmedBandit",
    "test_pendulum": "{task}Pendulum",
    "test_every_step_of_noisy_equals_the_original": "NoisyPositionOnlyCartPole",
    "test_every_step_of_velocity_only_equals_the_original": "VelocityOnlyCartPole",
}


def id_of(item: Any) -> str:
    """The id that a test case replays."""
    given = item.callspec.params
    if "name" in given:
        return given["name"]
    module, function = item.module.__name__.rsplit(".", 1)[-1], item.originalname
    family = FAMILIES.get(function) or FAMILIES[module]
    return f"popgym/{family.format(**given)}{given['level']}"


class Counter:
    """A plugin of pytest: what each id's cases compared, and how they ended."""

    def __init__(self) -> None:
        self.steps: collections.Counter[str] = collections.Counter()
        self.episodes: collections.Counter[str] = collections.Counter()
        self.policies: dict[str, set[str]] = collections.defaultdict(set)
        self.wrong: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: Any) -> Any:
        # Not at the top: pytest wants to see the first import of what it checks.
        from .replay import COMPARED

        COMPARED.clear()
        name = id_of(item)
        try:
            return (yield)
        except BaseException:
            self.wrong.add(name)
            raise
        finally:
            self.steps[name] += sum(COMPARED)
            self.episodes[name] += len(COMPARED)
            self.policies[name].add(item.callspec.params["policy"])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        from memoalg import envs

        for name in (name for name in envs.names() if name.startswith("popgym/")):
            told = "DIFFERS" if name in self.wrong else "equal" if self.steps[name] else "not run"
            policies = ", ".join(sorted(self.policies[name]))
            terminalreporter.write_line(
                f"{name:40} {told:8} {self.episodes[name]:3} episodes "
                f"{self.steps[name]:6} steps: {policies}"
            )


if __name__ == "__main__":
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "test_every_step and not gymnasium",
        "tests/envs",
    ]
    sys.exit(pytest.main(options, plugins=[Counter()]))
