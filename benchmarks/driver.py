"""What `fit` costs beside the same updates in a bare jitted loop, and what leaves the device.

    python benchmarks/driver.py [--memory gru] [--chunks 3] [--repeats 5] [--quick]

PPO at the common setting: 64 environments × 128 steps, width 128, 4 epochs of 4 minibatches, on
RepeatPreviousEasy, in chunks of 8 updates. `fit` writes its run folder: metrics, timings, progress,
the check for losses that are not finite, the selection of the last good state. The bare loop reports
nothing. The two take turns in one process with one XLA thread, pinned to one core; CPU-seconds
without compilation, the final evaluation, the last checkpoint and the picture, which a run has once.
"""

import argparse
import statistics
import sys
import tempfile
import time
from typing import Any

import _timing
import jax

import memoalg as ma

CHUNK = 8


def algorithm(memory: str, quick: bool) -> Any:
    env, params = ma.envs.make("popgym/RepeatPreviousEasy")
    width = 16 if quick else 128
    config = ma.rl.PPOConfig(num_envs=8, num_steps=16) if quick else ma.rl.PPOConfig()
    return ma.rl.PPO(env, params, ma.rl.ActorCritic(memory, width=width), config)


class Stamps(ma.rl.AbstractProgress):
    """Notes the clocks when the programs are ready, and when the last chunk is written down."""

    def __init__(self) -> None:
        self.begin = self.end = (0.0, 0.0)

    def message(self, text: str) -> None:
        if text.startswith("memory:"):
            self.begin = clocks()

    def report(self, report: Any) -> None:
        self.end = clocks()

    def close(self) -> None:
        pass


def clocks() -> tuple[float, float]:
    """CPU-seconds of the process, and of the calling thread."""
    return time.process_time(), time.thread_time()


def fit_seconds(algo: Any, chunks: int) -> tuple[float, float]:
    """CPU-seconds of `fit` between compilation and final evaluation: of the process, of the host."""
    stamps = Stamps()
    steps = chunks * CHUNK * algo.frames_per_update
    with tempfile.TemporaryDirectory() as folder:
        ma.rl.fit(
            algo,
            jax.random.key(0),
            steps,
            checkpoint_dir=folder,
            evaluation_episodes=1,
            chunk=CHUNK,
            progress=stamps,
        )
    return stamps.end[0] - stamps.begin[0], stamps.end[1] - stamps.begin[1]


class Bare:
    """The same updates, and nothing else."""

    def __init__(self, algo: Any) -> None:
        self._init = jax.jit(algo.init)
        body = lambda _, state: algo.update(state)[0]
        several = lambda state: jax.lax.fori_loop(0, CHUNK, body, state)
        shape = jax.eval_shape(algo.init, jax.random.key(0))
        self._several = jax.jit(several, donate_argnums=0).lower(shape).compile()

    def seconds(self, chunks: int) -> float:
        """CPU-seconds of so many chunks."""
        state = jax.block_until_ready(self._init(jax.random.key(0)))
        begin = time.process_time()
        for _ in range(chunks):
            state = self._several(state)
        jax.block_until_ready(state)
        return time.process_time() - begin


def bytes_per_frame(algo: Any) -> float:
    """What an update returns besides its state, per environment step."""
    state = jax.eval_shape(algo.init, jax.random.key(0))
    metrics = jax.eval_shape(algo.update, state)[1]
    nbytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(metrics))
    return nbytes / algo.frames_per_update


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--memory", default="gru")
    parser.add_argument("--chunks", type=int, default=3, help="chunks of 8 updates per measurement")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run?")
    options = parser.parse_args()
    algo = algorithm(options.memory, options.quick)
    bare, host = Bare(algo), []

    def fitted() -> float:
        total, own = fit_seconds(algo, options.chunks)
        host.append(own)
        return total

    measures = {"bare loop": lambda: bare.seconds(options.chunks), "fit": fitted}
    _timing.interleaved(measures, 1)  # compiles
    host.clear()
    samples = _timing.interleaved(measures, options.repeats)
    ratios = [f / b for f, b in zip(samples["fit"], samples["bare loop"], strict=True)]
    frames = options.chunks * CHUNK * algo.frames_per_update
    rows = [
        [name, f"{seconds:.3f}", f"{frames / seconds:,.0f}", f"{_timing.spread(samples[name]):.0%}"]
        for name, seconds in _timing.medians(samples).items()
    ]
    print("Command: python", " ".join(sys.argv))
    print("Machine:", _timing.machine())
    print(_timing.markdown_table(["loop", "CPU-seconds", "frames per CPU-second", "spread"], rows))
    print(f"fit over bare loop, median of the pairs: {statistics.median(ratios) - 1:+.2%}")
    share = statistics.median(host) / statistics.median(samples["fit"])
    print(f"CPU-seconds of fit's own thread, waiting left out: {share:.2%} of all")
    print(f"returned per frame: {bytes_per_frame(algo):.4f} bytes")


if __name__ == "__main__":
    _timing.run_single_threaded(main)
