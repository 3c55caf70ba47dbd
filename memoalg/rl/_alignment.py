"""Does the memory forget where an episode begins, wherever the network is run?"""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from memoalg import nn
from memoalg.envs import Box
from memoalg.envs.wrappers._wrapper import AbstractWrapper, Wrapped

from ._algorithm import AbstractAlgorithm
from ._dense import Dense
from ._dqn import DQN
from ._torso import Torso

LIMITS = 0x6C696D69  # the stream of the episodes' limits; small numbers are what `split` gives
ALARM = 1e12
"""What the memory says where its count is not the age that it was shown."""


class Aged(AbstractWrapper[Wrapped, Any]):
    """Shows how many steps the episode has had, and nothing else; truncates it early.

    Each episode has a limit of its own: environments in step with each other would hide a carry of
    the wrong one, and rollouts that all begin with an episode a carry of the wrong moment.

    Args:
        env: What is wrapped; its rewards and ends stay.
        limit: The most steps of an episode; each is truncated after 2 to `limit` of them.
    """

    env: Any
    limit: int = eqx.field(static=True)

    def inner_state(self, state: Wrapped) -> Any:
        return state.inner

    def observation_space(self, params: Any) -> Box:
        return Box(0.0, float(self.limit), (1,))

    def reset(self, key: PRNGKeyArray, params: Any) -> tuple[Array, Wrapped]:
        _, inner = self.env.reset(key, params)
        return jnp.zeros(1), Wrapped(inner, self._begun(key))

    def restart(
        self, key: PRNGKeyArray, state: Wrapped, over: Bool[Array, ""], params: Any
    ) -> tuple[Array, Wrapped]:
        _, inner = self.env.restart(key, state.inner, over, params)
        return jnp.zeros(1), Wrapped(inner, self._begun(key))

    def _begun(self, key: PRNGKeyArray) -> tuple[Array, Array]:
        """(age, after how many steps it is cut) of an episode that begins."""
        own = jax.random.fold_in(key, LIMITS)
        return jnp.zeros((), jnp.int32), jax.random.randint(own, (), 2, self.limit + 1, jnp.int32)

    def transition(self, key: PRNGKeyArray, state: Wrapped, action: PyTree, params: Any) -> Any:
        _, inner, reward, terminated, truncated = self.env.transition(
            key, state.inner, action, params
        )
        age, limit = state.own[0] + 1, state.own[1]
        shown = age.astype(float)[None]
        return shown, Wrapped(inner, (age, limit)), reward, terminated, truncated | (age >= limit)


class Counting(nn.AbstractLayer):
    """Counts the steps of the episode, and sounds the alarm where the input's first number, the age,
    is another. Its output is otherwise 0, and has no gradient."""

    in_size: int | None = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)

    def init_carry(self) -> Int[Array, ""]:
        return jnp.zeros((), jnp.int32)

    def step(
        self, carry: Int[Array, ""], x: Float[Array, " F"], start: Bool[Array, ""] | None
    ) -> tuple[Int[Array, ""], Float[Array, " F"]]:
        count = carry if start is None else jnp.where(start, 0, carry)
        age = jax.lax.stop_gradient(x[0])
        wrong = jnp.abs(age - count.astype(x.dtype)) > 0.5
        said = jnp.where(wrong, ALARM, 0.0).astype(x.dtype)
        return count + 1, jnp.zeros_like(x).at[0].set(said)

    def __call__(
        self,
        carry: Int[Array, ""],
        xs: Float[Array, "T F"],
        start: Bool[Array, " T"] | None,
        *,
        method: Any = None,
    ) -> tuple[Int[Array, ""], Float[Array, "T F"]]:
        if start is None:
            start = jnp.zeros(xs.shape[0], bool)
        return jax.lax.scan(self._body, carry, (xs, start))

    def _body(self, carry: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        return self.step(carry, *now)


def counting(in_size: int, key: PRNGKeyArray) -> Counting:
    """The memory as `ActorCritic` and `QAgent` take it."""
    return Counting(in_size, in_size)


def with_counting(algo: AbstractAlgorithm, steps: int) -> Any:
    """The same algorithm with a memory that counts, in an environment that shows what it should be.

    Args:
        algo: Of the library, or with an agent that has a `memory` and builds a `Torso`.
        steps: Of a rollout; episodes are cut after at most half of it.

    Returns:
        The algorithm; None where the agent's recipe has no field `memory`.
    """
    fields = {field.name for field in dataclasses.fields(algo.agent)}
    if "memory" not in fields:
        return None
    # A layer norm would make a whisper of the alarm.
    plain = {"memory": counting} | ({"normalise": False} if "normalise" in fields else {})
    agent = dataclasses.replace(algo.agent, **plain)
    env = Aged(algo.env, max(4, steps // 2))
    return learning_at_once(dataclasses.replace(algo, env=env, agent=agent))


def learning_at_once(algo: AbstractAlgorithm) -> Any:
    """An algorithm that learns in its first update, one step of whole memories if it has a replay.

    A segment that begins in the middle of an episode is met with an empty memory by design
    (`carry="zero"`); with the stored one every token can be checked.
    """
    if not isinstance(algo, DQN):
        return algo
    algo = algo.with_config(warmup_frames=1)
    segments = algo.config.replay == "segment" and not algo.config.faithful
    return algo.with_config(carry="stored") if segments else algo


def alignment_error(algo: Any, key: PRNGKeyArray, updates: int) -> float:
    """The largest loss of updates with a counting memory, as a share of the alarm.

    Acting, learning and the values behind a truncation all go through the memory, so one wrong or
    missing reset, a carry of another moment or another environment, a batch whose steps do not
    follow each other: each is a loss beyond all others.

    Args:
        algo: From `with_counting`.
        key: Random key.
        updates: How many.

    Returns:
        About 0, or about 1 and more; infinite where a loss is not finite, NaN where there is none.
    """

    def run(key: PRNGKeyArray) -> Any:
        state = algo.init(key)
        state = eqx.tree_at(lambda s: s.agent, state, hearing(state.agent))

        def body(state: Any, _: None) -> Any:
            return algo.update(state)

        return jax.lax.scan(body, state, length=updates)[1]

    return largest(eqx.filter_jit(run)(key), ("loss",)) / ALARM


def hearing(agent: Any) -> Any:
    """The agent's state with every torso passing its input's first number to the memory, and the
    memory's first on."""

    def first(path: jtu.KeyPath, node: Any) -> Any:
        whole = jtu.keystr(path[:1]) in (".params", ".target") and isinstance(node, Torso)
        return _passing(node) if whole else node

    return jtu.tree_map_with_path(first, agent, is_leaf=lambda node: isinstance(node, Torso))


def _passing(torso: Torso) -> Torso:
    return eqx.tree_at(
        lambda t: (t.encoder, t.output), torso, (_one(torso.encoder), _one(torso.output))
    )


def _one(dense: Dense) -> Dense:
    weight = jnp.zeros_like(dense.weight).at[0, 0].set(1.0)
    return eqx.tree_at(lambda d: d.weight, dense, weight)


def largest(metrics: Any, words: tuple[str, ...]) -> float:
    """The largest absolute value among metrics whose name has one of the words: infinite where one
    is not finite, NaN where no name has."""
    sizes = [
        float(jnp.max(jnp.abs(jnp.where(jnp.isfinite(leaf), leaf, jnp.inf))))
        for path, leaf in jtu.tree_flatten_with_path(metrics)[0]
        if any(word in jtu.keystr(path) for word in words)
    ]
    return max(sizes, default=math.nan)
