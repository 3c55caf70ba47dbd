"""What a value function learns where only a time limit ends an episode.

    python benchmarks/time_limit.py [--frames 60000] [--plot docs/assets/time_limit.png]

The task: one reward of 1 per step, for ever; episodes are cut after 32 steps. The true value is
1 / (1 - discount) at every step, the last ones included. A loop that takes the limit for an end
learns a value that dips towards it (the memory counts the steps), as the second column shows: there
the same task *terminates*, which is what such a loop makes of it. PPO with a GRU, median of 3 seeds.
"""

import argparse
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

import memoalg as ma

LIMIT, DISCOUNT = 32, 0.9


class Treadmill(ma.envs.AbstractEnvironment):
    """A reward of 1 per step, for ever; `terminates` says how the limit is reported."""

    terminates: bool = eqx.field(static=True, default=False)

    @property
    def name(self) -> str:
        return "Treadmill"

    def default_params(self) -> None:
        return None

    def reset(self, key: Key[Array, ""], params: None) -> tuple[Float[Array, "1"], Int[Array, ""]]:
        return jnp.ones(1), jnp.zeros((), jnp.int32)

    def transition(self, key: Key[Array, ""], state: Int[Array, ""], action: Array, params: None):
        time = state + 1
        over, never = time >= LIMIT, jnp.zeros((), bool)
        ends = (over, never) if self.terminates else (never, over)
        return jnp.ones(1), time, jnp.ones(()), *ends

    def observation_space(self, params: None) -> ma.envs.Box:
        return ma.envs.Box(0, 1, (1,))

    def action_space(self, params: None) -> ma.envs.Discrete:
        return ma.envs.Discrete(2)


def values_by_step(terminates: bool, frames: int) -> np.ndarray:
    """Learned values at the steps of an episode, median of three seeds."""
    config = ma.rl.PPOConfig(
        num_envs=16, num_steps=64, discount=DISCOUNT, gae_decay=0.95, value_clip=None
    )
    algo = ma.rl.PPO(Treadmill(terminates), None, ma.rl.ActorCritic("gru", width=32), config)

    def learned(key: Array) -> Array:
        state, _ = algo.train(key, frames)
        network = algo.network(state.agent)
        carry = jax.tree.map(lambda x: x[None], network.init_carry())
        start = (jnp.arange(LIMIT) == 0)[:, None]
        return network(carry, jnp.ones((LIMIT, 1, 1)), start)[2][:, 0]

    keys = jax.random.split(jax.random.key(0), 3)
    return np.median(jax.jit(lambda k: jax.lax.map(learned, k))(keys), axis=0)


def plot(truncated: np.ndarray, terminated: np.ndarray, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(1 / (1 - DISCOUNT), color="0.6", linewidth=1, label="true value")
    axes.plot(truncated, label="truncated: bootstraps at the limit")
    axes.plot(terminated, label="the limit taken for an end")
    axes.set_xlabel("step of the episode (cut after 32)")
    axes.set_ylabel("learned value")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description="Values at a time limit.")
    parser.add_argument("--frames", type=int, default=60_000)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    truncated = values_by_step(False, options.frames)
    terminated = values_by_step(True, options.frames)
    print(f"true value {1 / (1 - DISCOUNT):.1f} at every step\n")
    print("| step | truncated | the limit taken for an end |\n|---|---|---|")
    for step in (0, 8, 16, 24, 28, 30, 31):
        print(f"| {step} | {truncated[step]:.2f} | {terminated[step]:.2f} |")
    dip = truncated[:8].mean() - truncated[-4:].min()
    print(f"\ndip over the last 4 steps: {dip:.2f}; with the limit taken for an end: ", end="")
    print(f"{terminated[:8].mean() - terminated[-4:].min():.2f}")
    if options.plot:
        plot(truncated, terminated, options.plot)


if __name__ == "__main__":
    main()
