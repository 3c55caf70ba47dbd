"""Every registered model learns a small task by heart: score, updates and CPU-seconds.

    python -m benchmarks.overfit [--only lru gru] [--width 32] [--depth 2] [--updates 2000]

8 fixed sequences, each of two episodes of copying 3 symbols of 4, all of them in every update, until
the mean score of 25 updates is at least 0.99. CPU-seconds are those of one thread, with making the
model, tracing and compilation. A model without memory cannot copy: it learns a task whose answer is
in the input.
"""

import argparse
import sys
import time
from typing import NamedTuple

import jax

import memoalg as ma
from benchmarks import _timing
from memoalg import tasks

GOAL, SECONDS = 0.99, 60.0

COPY = tasks.Packed(tasks.Copy(symbols=4, items=3), episodes=2)
TASKS: dict[str, tasks.Packed] = {"mlp": tasks.Packed(tasks.Parity(length=1), episodes=12)}
"""What is learned instead of `COPY`."""


class Outcome(NamedTuple):
    """What a model came to."""

    task: tasks.Packed
    parameters: int
    score: float
    updates: int
    seconds: float

    @property
    def reached(self) -> bool:
        return self.score >= GOAL and self.seconds <= SECONDS


def overfit(name: str, *, width: int = 32, depth: int = 2, updates: int = 2000) -> Outcome:
    """Train a model by name on 8 fixed sequences."""
    task = TASKS.get(name, COPY)
    config = tasks.FitConfig(steps=updates, batch=8, examples=8, goal=GOAL, chunk=25)
    begin = time.process_time()
    model = ma.nn.make(
        name,
        in_size=task.in_size,
        out_size=task.out_size,
        width=width,
        depth=depth,
        key=jax.random.key(0),
    )
    fitted = tasks.fit(model, task, jax.random.key(1), config)
    return Outcome(
        task=task,
        parameters=ma.nn.count_parameters(model),
        score=float(fitted.scores[-config.chunk :].mean()),
        updates=len(fitted.scores),
        seconds=time.process_time() - begin,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", default=ma.nn.names(), metavar="MODEL")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--updates", type=int, default=2000, help="at most")
    options = parser.parse_args()
    outcomes = {}
    print(_timing.machine())
    for name in options.only:
        jax.clear_caches()
        outcome = overfit(name, width=options.width, depth=options.depth, updates=options.updates)
        outcomes[name] = outcome
        line = f"{name}: {outcome.score:.3f}, {outcome.updates} updates, {outcome.seconds:.1f} s"
        print(line, file=sys.stderr, flush=True)
    header = ("model", "task", "parameters", "score", "updates", "CPU-seconds")
    rows = [
        (
            name,
            type(o.task.task).__name__,
            f"{o.parameters:,}",
            f"{o.score:.3f}",
            str(o.updates),
            f"{o.seconds:.1f}",
        )
        for name, o in outcomes.items()
    ]
    print(_timing.markdown_table(header, rows))
    missed = [name for name, outcome in outcomes.items() if not outcome.reached]
    if missed:
        raise SystemExit(f"not at {GOAL} within {SECONDS:g} CPU-seconds: {', '.join(missed)}")
    print(f"all {len(outcomes)} reach {GOAL} within {SECONDS:g} CPU-seconds")


if __name__ == "__main__":
    _timing.run_single_threaded(main)
