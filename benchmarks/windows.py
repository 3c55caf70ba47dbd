"""Windows over the last k steps, gathered from what was written, beside loops over steps, in one run.

    python benchmarks/windows.py [--windows 8 64] [--width 64] [--repeats 3] [--quick]

T = 1024 steps in 8 rows (`jax.vmap` over axis 0), float32, an episode of 64 steps on average:

- stack: `ma.Recent`, whose states are returned: what frame stacks and convolutions see;
- attention: `ma.nn.SoftmaxWindow`, one head, keys and values of half the width, read at every step;
- largest: `ma.Window(ma.Max(...))`, read at every step.

`forward` is (last state, reads); `gradient` is that of a weighted sum of sines of the reads in all that
is written and asked. Times are CPU-seconds of one core, as ratios to `ma.Sequential()` (larger is
slower); memory is what XLA plans for temporaries, as a share of one array (T, B, k, width).
`ma.Associative()` moves such an array at every level, so it is left out.
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import _timing
import jax
import jax.numpy as jnp
import numpy as np

import memoalg as ma

EPISODE = 64


class Setting(NamedTuple):
    """Sizes of a run."""

    windows: tuple[int, ...] = (8, 64)
    width: int = 64
    length: int = 1024
    batch: int = 8
    repeats: int = 3


QUICK = Setting(windows=(4,), width=4, length=64, batch=2, repeats=1)

KINDS: dict[str, Callable[[int, int], Any]] = {
    "stack": lambda k, width: ma.Recent(width, k),
    "attention": lambda k, width: ma.nn.SoftmaxWindow(k, 1, width // 2, width // 2),
    "largest": lambda k, width: ma.Window(ma.Max(width), k),
}
METHODS: dict[str, ma.AbstractMethod] = {
    "Sequential()": ma.Sequential(),
    "Sequential(remat=32)": ma.Sequential(remat=32),
    "Gather()": ma.Gather(),
    "Auto()": ma.Auto(),
}


def steps_of(kind: str, setting: Setting) -> tuple[Any, Any, Any]:
    """(generators, queries, start) of a batch."""
    rng = np.random.default_rng(0)
    shape = (setting.batch, setting.length)
    written = rng.normal(size=(*shape, setting.width)).astype(np.float32)
    start = rng.uniform(size=shape) < 1 / EPISODE
    if kind == "attention":
        queries = rng.normal(size=(*shape, 1, setting.width // 2)).astype(np.float32)
        return written[:, :, None], queries, start
    return written, None if kind == "stack" else written[..., 0], start


def run(
    monoid: ma.AbstractMonoid,
    method: ma.AbstractMethod,
    gradient: bool,
    generators: Any,
    queries: Any,
    start: Any,
) -> Any:
    """A batch of trajectories, or the gradient of a weighted sum of their reads."""

    def one(generators: Any, queries: Any, start: Any) -> Any:
        state = monoid.initial_state()
        return ma.trajectory(monoid, state, generators, start, queries=queries, method=method)

    def loss(moving: tuple[Any, Any]) -> Any:
        _, reads = jax.vmap(one)(moving[0], moving[1], start)
        leaf = jax.tree.leaves(reads)[0]
        return jnp.sum(jnp.sin(leaf) * jnp.cos(jnp.arange(leaf.shape[-1], dtype=leaf.dtype)))

    if gradient:
        return jax.grad(loss)((generators, queries))
    return jax.vmap(one)(generators, queries, start)


def measure(setting: Setting, kind: str, k: int) -> list[list[str]]:
    """A row for each method."""
    monoid, operands = KINDS[kind](k, setting.width), steps_of(kind, setting)
    whole = 4 * setting.length * setting.batch * k * setting.width
    programs: dict[tuple[str, bool], _timing.Compiled] = {}
    for name, method in METHODS.items():
        for gradient in (False, True):
            jitted = jax.jit(functools.partial(run, monoid, method, gradient))
            programs[name, gradient] = _timing.compiled(jitted, *operands)
    works = {
        f"{name} {gradient}": functools.partial(
            _timing.settled_cpu_seconds, functools.partial(program.call, *operands)
        )
        for (name, gradient), program in programs.items()
    }
    seconds = _timing.medians(_timing.interleaved(works, setting.repeats))
    rows = []
    for name in METHODS:
        ratios = [seconds[f"{name} {g}"] / seconds[f"Sequential() {g}"] for g in (False, True)]
        memory = [programs[name, g].temp_bytes / whole for g in (False, True)]
        milliseconds = [f"{1e3 * seconds[f'{name} {g}']:.1f}" for g in (False, True)]
        numbers = [*milliseconds, *(f"{x:.2f}" for x in (*ratios, *memory))]
        rows.append([kind, str(k), name, *numbers])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--windows", type=int, nargs="+", default=list(Setting().windows))
    parser.add_argument("--width", type=int, default=Setting().width)
    parser.add_argument("--repeats", type=int, default=Setting().repeats)
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it runs")
    options = parser.parse_args()
    setting = Setting(windows=tuple(options.windows), width=options.width, repeats=options.repeats)
    setting = QUICK if options.quick else setting
    print(_timing.machine())
    header = ["kind", "k", "method", "forward ms", "gradient ms", "forward", "gradient"]
    header += ["memory", "memory of gradient"]
    rows = [row for kind in KINDS for k in setting.windows for row in measure(setting, kind, k)]
    print(_timing.markdown_table(header, rows))


if __name__ == "__main__":
    _timing.run_single_threaded(main)
