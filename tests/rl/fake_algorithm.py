"""A tiny algorithm with everything `fit` relies on; it compiles in a fraction of a second."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from memoalg.rl._state import AgentState, Evaluation, RolloutState, SharedState, TrainState

FRAMES = 32


class FakeMetrics(eqx.Module):
    update: Int[Array, ""]
    episodes: Int[Array, ""]
    return_sum: Float[Array, ""]
    length_sum: Int[Array, ""]
    policy_loss: Float[Array, ""]


class FakeConfig(eqx.Module):
    rate: float = 0.1
    decay: float = 0.9
    bound: float | None = None
    nan_at: int = -1
    width: int = 3

    def __check_init__(self):
        if isinstance(self.rate, float) and self.rate < 0:
            raise ValueError(f"FakeConfig: rate must be at least 0, not {self.rate}")


class FakeAlgorithm(eqx.Module):
    """A noisy walk of a vector. With `nan_at`, that update's loss is NaN."""

    config: FakeConfig = FakeConfig()

    def with_config(self, **changes: Any) -> "FakeAlgorithm":
        return FakeAlgorithm(dataclasses.replace(self.config, **changes))

    @property
    def frames_per_update(self) -> int:
        return FRAMES

    def init(self, key: Key[Array, ""]) -> TrainState:
        key, k = jax.random.split(key)
        shared = SharedState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.uint32))
        params = {"w": jax.random.normal(k, (self.config.width,))}
        agent = AgentState(params, {"m": jnp.zeros((self.config.width,))}, None)
        rollout = RolloutState(
            {"t": jnp.zeros((2,), jnp.int32)},
            jnp.zeros((2, 1)),
            jnp.ones((2,), bool),
            {"h": jnp.zeros((2, 3))},
            jnp.zeros((2,)),
            jnp.zeros((2,), jnp.int32),
        )
        return TrainState(shared, agent, rollout, key)

    def update(self, state: TrainState) -> tuple[TrainState, FakeMetrics]:
        key, k = jax.random.split(state.key)
        update = state.shared.update + 1
        noise = jax.random.normal(k, (self.config.width,))
        moment = self.config.decay * state.agent.optimizer["m"] + noise
        w = state.agent.params["w"] + self.config.rate * jnp.tanh(moment)
        loss = jnp.where(update == self.config.nan_at, jnp.nan, jnp.sum(w**2))
        w = jnp.where(jnp.isfinite(loss), w, jnp.nan)
        count = (update % 3).astype(jnp.int32)  # every third update ends no episode
        new = TrainState(
            SharedState(update, state.shared.frames + jnp.uint32(FRAMES)),
            AgentState({"w": w}, {"m": moment}, None),
            dataclasses.replace(state.rollout, episode_return=state.rollout.episode_return + w[0]),
            key,
        )
        sums = count.astype(w.dtype) * w[0]
        return new, FakeMetrics(update, count, sums, 5 * count, loss)

    def evaluate(
        self, state: TrainState, key: Key[Array, ""], episodes: int, *, greedy: bool = True
    ) -> Evaluation:
        returns = state.agent.params["w"][0] + 0.1 * jax.random.normal(key, (episodes,))
        lengths = jnp.full((episodes,), 5, jnp.int32)
        return Evaluation(returns, lengths, jnp.arange(episodes) != 1)
