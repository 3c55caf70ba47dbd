"""Learning runs that the study beside this file does not cover; each prints a line, with its optimum.

    python benchmarks/learning.py [dqn easy chain medium] [--out runs/more]

dqn: DQN with tape-based batching and FFM on RepeatFirstEasy. easy: PPO with an LRU on
RepeatPreviousEasy, 400 thousand steps. chain: PPO and PQN with four memories on MemoryChain, length 64.
medium: PPO with an LRU on RepeatPreviousMedium, 5 million steps. Three seeds each; greedy evaluation
over 100 complete episodes a seed.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import memoalg as ma


class Case(NamedTuple):
    """One line of the table."""

    name: str
    algorithm: Any
    steps: int
    optimum: float
    random: float


def dqn() -> Iterator[Case]:
    """Tape-based batching."""
    env, _ = ma.envs.make("popgym/RepeatFirstEasy")
    env = ma.envs.EpisodeStart(env)
    algorithm = ma.rl.DQN(env, env.default_params(), ma.rl.QAgent("ffm"), ma.rl.DQNConfig())
    yield Case("DQN tape, ffm, RepeatFirstEasy", algorithm, 60_000, 1.0, -0.5)


def chain() -> Iterator[Case]:
    """A bit, held for 64 steps."""
    env = ma.envs.EpisodeStart(ma.envs.MemoryChain(length=64))
    params = env.default_params()
    for memory in ("lru", "gru", "min_gru", "linear_attention"):
        ppo = ma.rl.PPO(env, params, ma.rl.ActorCritic(memory), ma.rl.PPOConfig())
        yield Case(f"PPO, {memory}, MemoryChain 64", ppo, 250_000, 1.0, 0.0)
        pqn = ma.rl.PQN(env, params, ma.rl.QAgent(memory), ma.rl.PQNConfig())
        yield Case(f"PQN, {memory}, MemoryChain 64", pqn, 250_000, 1.0, 0.0)


def easy() -> Iterator[Case]:
    """What the README trains, for as long as it takes."""
    env, params = ma.envs.make("popgym/RepeatPreviousEasy")
    algorithm = ma.rl.PPO(env, params, ma.rl.ActorCritic("lru"), ma.rl.PPOConfig())
    yield Case("PPO, lru, RepeatPreviousEasy", algorithm, 400_000, 1.0, -0.5)


def medium() -> Iterator[Case]:
    """The long run."""
    env, params = ma.envs.make("popgym/RepeatPreviousMedium")
    algorithm = ma.rl.PPO(env, params, ma.rl.ActorCritic("lru"), ma.rl.PPOConfig())
    yield Case("PPO, lru, RepeatPreviousMedium", algorithm, 5_000_000, 1.0, -0.5)


GROUPS = {"dqn": dqn, "easy": easy, "chain": chain, "medium": medium}


def run(case: Case, out: Path | None) -> str:
    """Train three seeds; a line of the table."""
    begun = time.process_time()
    folder = None if out is None else out / case.name.replace(", ", "-").replace(" ", "_")
    result = ma.rl.fit(
        case.algorithm,
        jax.random.key(0),
        case.steps,
        seeds=3,
        checkpoint_dir=folder,
        evaluation_episodes=100,
        progress=ma.rl.NoProgress(),
    )
    means = [float(np.mean(returns)) for returns in result.complete_returns()]
    cells = ", ".join(f"{mean:.3f}" for mean in means)
    seconds = time.process_time() - begun
    return (
        f"| {case.name} | {case.steps:,} | {cells} | {np.mean(means):.3f} | {case.random:g} | "
        f"{case.optimum:g} | {seconds:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Learning runs, with their optimum.")
    parser.add_argument("groups", nargs="*", default=list(GROUPS), help=", ".join(GROUPS))
    parser.add_argument("--out", type=Path, help="keep run folders")
    options = parser.parse_args()
    print("| run | frames | greedy return of each seed | mean | random | optimum | CPU-s |")
    print("|---|---|---|---|---|---|---|")
    for group in options.groups:
        for case in GROUPS[group]():
            print(run(case, options.out), flush=True)


if __name__ == "__main__":
    main()
