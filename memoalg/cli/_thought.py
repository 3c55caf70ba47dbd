"""What an agent makes of a state: probabilities or values of its actions, and the state's value."""

import dataclasses
from typing import Any

import jax
import numpy as np

from memoalg import rl
from memoalg.rl._distributions import EpsilonGreedy


@dataclasses.dataclass(frozen=True)
class Thought:
    """A policy in one state, as numbers.

    Attributes:
        what: What the numbers are: `probability` or `value` of each action, or the `mean` of each
            part of a continuous one.
        numbers: One per action.
        chosen: The action that was taken; None for a continuous one.
        value: Of the state, as the agent sees it.
    """

    what: str
    numbers: tuple[float, ...]
    chosen: int | None
    value: float

    def __str__(self) -> str:
        marks = ("*" if i == self.chosen else "" for i in range(len(self.numbers)))
        parts = [
            f"{i}:{x:.2f}{m}" for i, (x, m) in enumerate(zip(self.numbers, marks, strict=True))
        ]
        return f"V={self.value:.3f}  {self.what} {' '.join(parts)}"


def thought_of(policy: rl.AbstractDistribution, value: Any, action: Any) -> Thought:
    """A policy and a value as plain numbers.

    Raises:
        TypeError: the policy is of a kind that this does not know.
    """
    if isinstance(policy, rl.Categorical):
        return _thought("probability", jax.nn.softmax(policy.logits), int(action), value)
    if isinstance(policy, EpsilonGreedy):
        return _thought("value", policy.action_values, int(action), value)
    if isinstance(policy, rl.DiagonalNormal):
        return _thought("mean", policy.mean, None, value)
    raise TypeError(f"{type(policy).__name__} has no picture; please report")


def _thought(what: str, numbers: Any, chosen: int | None, value: Any) -> Thought:
    return Thought(what, tuple(map(float, np.ravel(numbers))), chosen, float(value))
