"""Kernels and bytes of every way to run a scan on a GPU, without a GPU: the standard table.

    pip install absl-py jax-cuda12-plugin==JAX jax-cuda12-pjrt==JAX
    python benchmarks/gpu_counts.py [--target h100] [--only TEXT ...] [--quick]
    python benchmarks/gpu_counts.py --times       # on a machine with a GPU: measured instead

(JAX: the version of jax that is installed; from 0.11 on jax-cuda13.) Every function is compiled ahead
of time and its text counted, as `memoalg bench gpu-counts` does for a memory of one's own. All numbers
are float32, and every step has a start flag.

- affine: h = a h + u, T = 1024, B = 1024, D = 128. By hand: `lax.scan` over time with the batch behind
  it, and `jax.lax.associative_scan` with the flag lifted into the element, both differentiated by jax.
  The methods of memoalg are under `jax.vmap`, over axis 1 unless it says 0.
- outer products: T = 1024, 64 rows (batch times heads), keys and values of 64, every step read by a
  query. `Associative` builds the matrix state of every step.

Ideal: every argument is read once and every result written once; backward the arguments (or as many
bytes of states) once more with the cotangents, and the gradients are written. `low` counts every byte
that a kernel needs once for each kernel, `high` whole operands. Copies are launches that compute
nothing. `build` is trace and compile in wall seconds, to be compared only within a run.
"""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import _timing

# The plugin is a compiler here, unless times are asked for.
if "--times" not in sys.argv:
    os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp

import memoalg as ma
from memoalg.cli._bench_program import Batched, monoid_program, random_arguments
from memoalg.cli._gpu_counts import count
from memoalg.cli._gpu_target import NoCompilerError
from memoalg.cli._gpu_times import copy_bandwidth, time_calls
from memoalg.scans._kernel import Kernel


class Setting(NamedTuple):
    """Sizes of a run."""

    length: int = 1024
    batch: int = 1024
    width: int = 128
    rows: int = 64
    key: int = 64


QUICK = Setting(length=32, batch=4, width=8, rows=2, key=4)


# ---- affine ------------------------------------------------------------------------------------


def plain_scan(moving: Any, start: Any) -> Any:
    def step(h: Any, now: Any) -> Any:
        a, u, start = now
        h = jnp.where(start[:, None], 0.0, a * h) + u
        return h, h

    decays, inputs = moving
    return jax.lax.scan(step, jnp.zeros_like(inputs[0]), (decays, inputs, start))[1]


def lifted_scan(moving: Any, start: Any) -> Any:
    def combine(left: Any, right: Any) -> Any:
        (a, u, start), (b, v, again) = left, right
        return jnp.where(again, b, a * b), jnp.where(again, v, b * u + v), start | again

    decays, inputs = moving
    flags = jnp.broadcast_to(start[..., None], decays.shape)
    return jax.lax.associative_scan(combine, (decays, inputs, flags))[1]


def by_method(method: ma.AbstractMethod, axis: int = 1) -> Callable[[Any, Any], Any]:
    def run(moving: Any, start: Any) -> Any:
        def one(generators: Any, start: Any) -> Any:
            monoid = ma.Affine(generators[0].shape[-1])
            state = monoid.initial_state()
            return ma.trajectory(monoid, state, generators, start, method=method)[1]

        return jax.vmap(one, in_axes=axis, out_axes=axis)(moving, start)

    return run


def affine(setting: Setting, run: Callable[[Any, Any], Any], axis: int = 1) -> Batched:
    lead = (setting.length, setting.batch) if axis else (setting.batch, setting.length)
    numbers = jax.ShapeDtypeStruct((*lead, setting.width), jnp.float32)
    return Batched(run, (numbers, numbers), jax.ShapeDtypeStruct(lead, jnp.bool_))


# ---- the table ---------------------------------------------------------------------------------

OUTER: dict[str, Callable[[int], ma.AbstractMonoid]] = {
    "one decay": lambda key: ma.GatedOuter(key, key, per_key=False),
    "decay per key": lambda key: ma.GatedOuter(key, key),
    "gated delta": lambda key: ma.DeltaRule(key, key),
}


def programs(setting: Setting) -> dict[str, Batched]:
    """What is compared, by name; the memory before the colon."""
    found = {
        "affine: lax.scan": affine(setting, plain_scan),
        "affine: associative_scan, flag lifted": affine(setting, lifted_scan),
        "affine: Sequential": affine(setting, by_method(ma.Sequential())),
        "affine: Associative": affine(setting, by_method(ma.Associative())),
        "affine: Kernel": affine(setting, by_method(Kernel())),
        "affine: Kernel, axis 0": affine(setting, by_method(Kernel(), 0), 0),
    }
    sizes = {"length": setting.length, "batch": setting.rows, "axis": 0}
    methods = {"Chunked": ma.Chunked(), "Sequential": ma.Sequential()}
    methods |= {"Associative": ma.Associative()}
    for memory, monoid in OUTER.items():
        for name, method in methods.items():
            found[f"{memory}: {name}"] = monoid_program(monoid(setting.key), method, **sizes)
    return found


def chosen(setting: Setting, only: list[str]) -> list[tuple[str, Batched]]:
    every = programs(setting).items()
    return [(name, p) for name, p in every if not only or any(text in name for text in only)]


COUNTS = ["memory: form", "pass", "launches", "copies", "read", "written"]
COUNTS += ["low", "high", "temp, MB", "build, s"]
TIMES = ["memory: form", "pass", "ms", "GB/s", "share of a copy's"]
PASSES = {"forward": False, "forward + backward": True}


def counts(name: str, which: str, program: Batched, target: str) -> list[str]:
    ideal = program.ideal(gradient=PASSES[which])
    function, shapes = program.gradient() if PASSES[which] else program.forward()
    found = count(function, *shapes, target=target)
    return [
        *(name, which, str(found.launches), str(found.copies)),
        *(f"{x / ideal:.2f}×" for x in (found.bytes_read, found.bytes_written)),
        *(f"{found.ratio(ideal):.2f}×", f"{found.ratio_high(ideal):.2f}×"),
        *(f"{found.temp_bytes / 1e6:.1f}", f"{found.trace_seconds + found.compile_seconds:.1f}"),
    ]


def times(name: str, which: str, program: Batched, copy: float) -> list[str]:
    function, shapes = program.gradient() if PASSES[which] else program.forward()
    arguments = random_arguments(shapes, 0)
    compiled = jax.jit(function).lower(*arguments).compile()
    seconds = time_calls(compiled, arguments).seconds
    bandwidth = program.ideal(gradient=PASSES[which]) / seconds
    return [
        *(name, which, f"{1e3 * seconds:.3f}"),
        *(f"{bandwidth / 1e9:.1f}", f"{bandwidth / copy:.3f}"),
    ]


def rows(options: argparse.Namespace, setting: Setting) -> list[list[str]]:
    copy = 0.0
    if options.times:
        device = jax.devices("gpu")[0]
        copy = copy_bandwidth(device)
        print(f"{device.device_kind}; a copy: {copy / 1e9:.0f} GB/s\n")
    table = []
    for name, program in chosen(setting, options.only):
        for which in PASSES:
            made = (
                times(name, which, program, copy)
                if options.times
                else counts(name, which, program, options.target)
            )
            print(*made, sep="  ", file=sys.stderr, flush=True)
            table.append(made)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", default="h100", choices=["h100", "a100"])
    parser.add_argument("--only", nargs="*", default=[], help="rows whose name holds one of these")
    parser.add_argument("--times", action="store_true", help="measure on the GPU that is there")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run?")
    options = parser.parse_args()
    setting = QUICK if options.quick else Setting()
    print("Command: python", " ".join(sys.argv))
    print(f"jax {jax.__version__}; {setting}" + ("" if options.times else f"; {options.target}"))
    try:
        table = rows(options, setting)
    except NoCompilerError as error:
        raise SystemExit(str(error)) from None
    print(_timing.markdown_table(TIMES if options.times else COUNTS, table))


if __name__ == "__main__":
    main()
