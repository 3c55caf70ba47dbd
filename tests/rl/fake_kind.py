"""The fake algorithm behind the constructor of a real one, for studies that compile at once."""

import dataclasses
from typing import Any, ClassVar

import equinox as eqx

from .fake_algorithm import FakeAlgorithm, FakeConfig


class FakeAgent(eqx.Module):
    memory: str = eqx.field(static=True, default="lru")
    width: int = eqx.field(static=True, default=4)


@dataclasses.dataclass(frozen=True)
class FakeKind:
    """Walks in as many dimensions as the memory's name has letters, wherever it is.

    Objects with one agent and configuration are equal, so that they share what is compiled.
    """

    agent_kind: ClassVar[type] = FakeAgent
    config_kind: ClassVar[type] = FakeConfig

    env: Any = dataclasses.field(compare=False)
    params: Any = dataclasses.field(compare=False)
    agent: FakeAgent
    config: FakeConfig

    @property
    def _walk(self) -> FakeAlgorithm:
        return FakeAlgorithm(dataclasses.replace(self.config, width=len(self.agent.memory)))

    @property
    def frames_per_update(self) -> int:
        return self._walk.frames_per_update

    def init(self, key: Any) -> Any:
        return self._walk.init(key)

    def update(self, state: Any) -> Any:
        return self._walk.update(state)

    def evaluate(self, state: Any, key: Any, episodes: int, *, greedy: bool = True) -> Any:
        result = self._walk.evaluate(state, key, episodes, greedy=greedy)
        # Exploring costs 10, so that it can be told which of the two it was.
        return result if greedy else eqx.tree_at(lambda e: e.returns, result, result.returns - 10)
