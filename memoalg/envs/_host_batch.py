"""The host's side of a host environment: N gymnasium environments in a loop; numpy only."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from ._host_spaces import to_ours, to_theirs
from .spaces import AbstractSpace

NOTE = "raised on the host by"
"""Begins the note that every exception of a batch carries."""


class HostBatch:
    """Steps N environments one after the other and starts each one again where its episode ends.

    A callback must not compute with jax (it may wait for itself for ever), so nothing here does.

    Args:
        envs: N gymnasium environments of the same spaces.
        name: for messages.
        observations: their observation space, as ours.
        actions: their action space, as ours.
        dtype: of rewards.
    """

    def __init__(
        self,
        envs: list[Any],
        name: str,
        observations: AbstractSpace,
        actions: AbstractSpace,
        dtype: np.dtype,
    ):
        self.envs, self.name, self.dtype = envs, name, dtype
        self.observations, self.actions = observations, actions
        self.calls = 0
        self._index: int | None = None
        self.failure: Exception | None = None
        self.is_closed = False

    def reset(self, seeds: Any) -> tuple[PyTree, np.ndarray]:
        """Begin an episode everywhere, environment i with seed i."""
        self.failure = None  # a new beginning
        with self._at_work():
            seeds = enumerate(np.asarray(seeds).tolist())
            first = [self._pick(index).reset(seed=seed)[0] for index, seed in seeds]
            return self._look(first), self._next_ticket()

    def step(self, ticket: Any, actions: PyTree) -> tuple[PyTree, ...]:
        """Step everywhere.

        Returns:
            Observations, the next ticket, rewards, `terminated`, `truncated`, final observations.
        """
        with self._at_work():
            self._check_ticket(int(np.asarray(ticket)))
            # They come as jax's arrays, whose every element is a computation.
            actions = jax.tree.map(np.asarray, actions)
            chosen = to_theirs(self.envs[0].action_space, self.actions, actions)
            outcomes = [self._step_one(index, action) for index, action in enumerate(chosen)]
            shown, rewards, terminated, truncated, final = zip(*outcomes, strict=True)
            return (
                self._look(shown),
                self._next_ticket(),
                np.asarray(rewards, self.dtype).reshape(len(self.envs)),
                np.asarray(terminated, bool),
                np.asarray(truncated, bool),
                self._look(final),
            )

    def _step_one(self, index: int, action: Any) -> tuple[Any, ...]:
        env = self._pick(index)
        observation, reward, terminated, truncated, _ = env.step(action)
        if not (terminated or truncated):
            return observation, reward, False, False, observation
        # An environment may write the next observation over the last one.
        final = copy.deepcopy(observation)
        return env.reset()[0], reward, terminated, truncated, final

    def _look(self, observations: Sequence[Any]) -> PyTree[np.ndarray]:
        self._index = None
        theirs = self.envs[0].observation_space
        return to_ours(theirs, self.observations, list(observations))

    def _pick(self, index: int) -> Any:
        self._index = index  # for the note of an exception
        return self.envs[index]

    def close(self) -> None:
        """Close every environment, once."""
        if self.is_closed:
            return
        self.is_closed = True
        with contextlib.ExitStack() as rest:  # all of them, also where one of them fails
            for env in self.envs:
                rest.callback(env.close)

    def _next_ticket(self) -> np.ndarray:
        self.calls += 1
        return np.asarray(self.calls, np.int32)

    def _check_ticket(self, ticket: int) -> None:
        if ticket != self.calls:
            raise RuntimeError(
                f"{self.name} was stepped from a state that is not its newest one: an environment on "
                f"the host cannot go back. Thread the state from reset through every step"
            )

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """Refuse to work when closed or after a failure; remember what goes wrong, and where."""
        if self.failure is not None:
            raise self.failure
        self._index = None
        try:
            if self.is_closed:
                raise RuntimeError(f"{self.name} is closed; make a new one")
            yield
        except Exception as error:
            where = "" if self._index is None else f"environment {self._index} of "
            error.add_note(f"{NOTE} {where}{self.name}")
            self.failure = error
            raise
