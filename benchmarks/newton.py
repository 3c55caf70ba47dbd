"""Recurrent layers: what they cost beside a plain `lax.scan`, and how Newton's method fares.

    python benchmarks/newton.py [--quick]

Two tables, from one run.

1. Recurrent layers run by their loop, beside a plain `lax.scan` over the same arithmetic with gradients
   by autodiff, input projections outside the scan in both: trace + compile of the gradient with
   jax's caches emptied (median), and CPU-seconds of the compiled gradient, as ratios.
2. Rounds of `ma.Newton` until 1e-5 with weights uniform in ±gain/√H, and the largest distance from
   the loop's states. At gain 8 a network is chaotic: the method falls back, and is the loop.
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import _timing
import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

import memoalg as ma

IN = 8
EPISODE = 64


class Setting(NamedTuple):
    """Sizes of a run."""

    length: int = 1024
    batch: int = 16
    width: int = 128
    repeats: int = 3
    lengths: tuple[int, ...] = (128, 1024)
    states: int = 32


QUICK = Setting(length=32, batch=2, width=8, repeats=1, lengths=(32,), states=8)


# ---- plain scans -----------------------------------------------------------------------------


def plain_gru(layer: ma.nn.GRU, h: Array, parts: Array) -> Array:
    reset_in, update_in, new_in = jnp.split(parts, 3)
    reset_h, update_h, new_h = jnp.split(layer.recurrent @ h, 3)
    reset, update = jax.nn.sigmoid(reset_in + reset_h), jax.nn.sigmoid(update_in + update_h)
    new = jnp.tanh(new_in + reset * (new_h + layer.candidate_bias))
    return new + update * (h - new)


def plain_lstm(layer: ma.nn.LSTM, state: tuple, parts: Array) -> tuple:
    write, forget, new, output = jnp.split(parts + layer.recurrent @ state[0], 4)
    c = jax.nn.sigmoid(forget) * state[1] + jax.nn.sigmoid(write) * jnp.tanh(new)
    return jax.nn.sigmoid(output) * jnp.tanh(c), c


def plain_elman(layer: ma.nn.Elman, h: Array, parts: Array) -> Array:
    return jnp.tanh(parts + layer.recurrent @ h)


def plain_mgu(layer: ma.nn.MGU, h: Array, parts: Array) -> Array:
    gate_in, new_in = jnp.split(parts, 2)
    gate = jax.nn.sigmoid(gate_in + layer.gate @ h)
    return h + gate * (jnp.tanh(new_in + layer.candidate @ (gate * h)) - h)


def plain_cell(layer: ma.nn.Recurrent, h: Array, x: Array) -> Array:
    return layer.cell(x, h)


def cell_layer(in_size: int, out_size: int, *, key: Array) -> ma.nn.Recurrent:
    return ma.nn.Recurrent(eqx.nn.GRUCell(in_size, out_size, key=key))


LAYERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "GRU": (ma.nn.GRU, plain_gru),
    "LSTM": (ma.nn.LSTM, plain_lstm),
    "MGU": (ma.nn.MGU, plain_mgu),
    "Elman": (ma.nn.Elman, plain_elman),
    "Recurrent(eqx.nn.GRUCell)": (cell_layer, plain_cell),
}


def plain(step: Callable[..., Any], layer: Any, xs: Array, start: Array) -> Array:
    """One sequence, as one writes it by hand."""
    inputs = getattr(layer, "inputs", None)
    parts = xs if inputs is None else xs @ inputs.weight.T + inputs.bias
    initial = layer.initial_state()

    def body(before: Any, now: tuple) -> tuple[Any, Array]:
        reset, part = now
        before = jax.tree.map(lambda a, b: jnp.where(reset, a, b), initial, before)
        after = step(layer, before, part)
        return after, jax.tree.leaves(after)[0]

    return jax.lax.scan(body, initial, (start, parts))[1]


def ours(layer: Any, xs: Array, start: Array) -> Array:
    return layer(layer.init_carry(), xs, start, method=ma.Sequential())[1]


def gradient_of(forward: Callable[..., Array]) -> Callable[[], Any]:
    """A fresh jitted gradient of a batch in parameters and inputs."""

    def loss(moving: tuple, start: Array) -> Array:
        layer, xs = moving
        return jnp.sum(jnp.sin(jax.vmap(forward, in_axes=(None, 0, 0))(layer, xs, start)))

    return lambda: jax.jit(lambda moving, start: jax.grad(loss)(moving, start))


def costs(setting: Setting) -> str:
    rows = []
    for name, (make, step) in LAYERS.items():
        layer = make(setting.width, setting.width, key=jax.random.key(0))
        shape = (setting.batch, setting.length)
        xs = jax.random.normal(jax.random.key(1), (*shape, setting.width))
        start = jax.random.uniform(jax.random.key(2), shape) < 1 / EPISODE
        arguments = (layer, xs), start
        jits = {"ours": gradient_of(ours), "plain": gradient_of(functools.partial(plain, step))}
        built = {key: _timing.compiled(jit(), *arguments) for key, jit in jits.items()}

        def build(jit: Any, arguments: tuple = arguments) -> float:
            return _timing.rebuilt(jit, *arguments).build_seconds

        def run(program: Any, arguments: tuple = arguments) -> float:
            return _timing.settled_cpu_seconds(lambda: program.call(*arguments))

        builds = _timing.medians(
            _timing.interleaved(
                {key: functools.partial(build, jit) for key, jit in jits.items()}, setting.repeats
            )
        )
        runs = _timing.medians(
            _timing.interleaved(
                {key: functools.partial(run, program) for key, program in built.items()},
                setting.repeats,
            )
        )
        rows.append(
            (
                name,
                f"{builds['ours']:.2f}",
                f"{builds['ours'] / builds['plain']:.2f}",
                f"{runs['ours'] / runs['plain']:.2f}",
                f"{built['ours'].temp_bytes / built['plain'].temp_bytes:.2f}",
            )
        )
    header = ("layer", "build, s", "build, ratio", "gradient, ratio", "temporaries, ratio")
    return _timing.markdown_table(header, rows)


# ---- rounds ----------------------------------------------------------------------------------


def gained(layer: Any, gain: float) -> Any:
    """The layer with every array uniform in ±gain/√(state)."""
    arrays, static = eqx.partition(layer, eqx.is_array)
    leaves, treedef = jax.tree.flatten(arrays)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    bound = gain / layer.out_size**0.5
    drawn = [
        jax.random.uniform(key, leaf.shape, leaf.dtype, -bound, bound)
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return eqx.combine(jax.tree.unflatten(treedef, drawn), static)


def rounds(setting: Setting) -> str:
    rows = []
    for name in ("GRU", "LSTM", "MGU", "Elman"):
        layer = LAYERS[name][0](IN, setting.states, key=jax.random.key(0))
        for jacobian in ("full", "diagonal"):
            for length in setting.lengths:
                xs = jax.random.normal(jax.random.key(1), (length, IN))
                cells = []
                for gain in (1.0, 3.0, 8.0):
                    method = ma.Newton(jacobian=jacobian, tolerance=1e-5)
                    cells.append(outcome(gained(layer, gain), method, xs))
                rows.append((name, jacobian, str(length), *cells))
    header = ("layer", "Jacobian", "T", "gain 1", "gain 3", "gain 8")
    return _timing.markdown_table(header, rows)


def outcome(layer: Any, method: ma.Newton, xs: Array) -> str:
    """Rounds and distance from the loop, or that it fell back and whether it is then the loop."""

    @eqx.filter_jit
    def both(layer: Any, xs: Array) -> tuple:
        def step(state: Any, x: Array) -> Any:
            return layer.step(state, x, None)[0]

        def body(state: Any, x: Array) -> tuple[Any, Any]:
            after = step(state, x)
            return after, after

        _, states, info = method.solve(step, layer.init_carry(), xs, None)
        _, want = jax.lax.scan(body, layer.init_carry(), xs)
        return jax.tree.leaves(states)[0], jax.tree.leaves(want)[0], info

    states, want, info = both(layer, xs)
    error = float(jnp.max(jnp.abs(states - want)))
    if info.fell_back:
        return f"loop after {info.iterations} (error {error:.0e})"
    return f"{info.iterations} (error {error:.0e})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Recurrent layers and rounds of Newton.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run")
    setting = QUICK if parser.parse_args().quick else Setting()
    print(f"{_timing.machine()}\n")
    sizes = f"T={setting.length}, batch {setting.batch}, width {setting.width}"
    print(f"Gradient beside plain `lax.scan`: {sizes}, median of {setting.repeats}\n")
    print(costs(setting) + "\n")
    print(f"Rounds of Newton to 1e-5, {setting.states} units\n")
    print(rounds(setting))


if __name__ == "__main__":
    _timing.run_single_threaded(main)
