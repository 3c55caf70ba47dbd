"""How far back the values of trained agents look: tapes beside segments, on a task that needs its start.

    python benchmarks/sensitivity.py [--steps 60000] [--plot docs/assets/sensitivity.png]

DQN with an FFM on RepeatFirstEasy, where every action asks for the first card of the episode, 50 steps
before the last. The replay hands out whole episodes (tape), or segments of 10 steps that begin with an
empty memory. Three seeds each, greedy play, 32 episodes a seed; prints the evaluation return, and the
share of the last value's sensitivity that the first card has and that lies beyond a segment's length.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import memoalg as ma
from memoalg.rl._rollout import init_rollout

SEEDS, EPISODES, LENGTH, SEGMENT = 3, 32, 51, 10
REPLAYS = {
    "tape": {"replay": "tape"},
    f"segments of {SEGMENT}": {"replay": "segment", "segment_length": SEGMENT},
}


def curves(replay: dict, steps: int) -> tuple[list[ma.rl.Sensitivity], float]:
    """The sensitivity of every seed, and the mean return of the greedy evaluation."""
    env = ma.envs.EpisodeStart(ma.envs.make("popgym/RepeatFirstEasy")[0])
    params = env.default_params()
    algo = ma.rl.DQN(env, params, ma.rl.QAgent("ffm", width=64), ma.rl.DQNConfig(**replay))
    result = ma.rl.fit(algo, jax.random.key(0), steps, seeds=SEEDS)
    found = []
    for seed in range(SEEDS):
        network = algo.network(result.member(seed).state.agent)
        play_key, reset_key = jax.random.split(jax.random.key(seed))
        begun = init_rollout(network, algo.env, params, EPISODES, reset_key)
        _, record, _ = ma.rl.collect(network, algo.env, params, begun, play_key, LENGTH)
        found.append(ma.rl.sensitivity(network, record))
    return found, float(np.mean([returns.mean() for returns in result.complete_returns()]))


def main() -> None:
    """Trains, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    drawn = {}
    for name, replay in REPLAYS.items():
        several, score = curves(replay, options.steps)
        first = ", ".join(f"{curve.share_beyond(LENGTH - 2):.2f}" for curve in several)
        older = ", ".join(f"{curve.share_beyond(SEGMENT):.2f}" for curve in several)
        print(
            f"{name:16} greedy return {score:6.3f}; share of the first card: {first}; "
            f"of what is older than {SEGMENT} steps: {older}"
        )
        drawn[f"{name}, greedy return {score:.2f}"] = several
    if options.plot is not None:
        print(ma.rl.plot_sensitivity(drawn, options.plot, needed=LENGTH - 1))


if __name__ == "__main__":
    main()
