"""Outer-product memories by chunks of matrix products, beside loops over steps, in one run.

    python benchmarks/chunked.py [--sizes 16 32 64] [--widths 64] [--repeats 5] [--quick]

T = 1024 steps in 8 rows (`jax.vmap` over axis 0), float32, keys and values equally long, an episode
of 64 steps on average, every step read by a query. The memories:

- sum: linear attention with its normaliser, `ma.nn.NormalisedOuterSum`;
- one decay: RetNet, Mamba-2, `ma.GatedOuter(per_key=False)`;
- decay per key: GLA, `ma.GatedOuter`;
- delta: the gated delta rule, `ma.DeltaRule`;
- mLSTM: exponential gates with a running maximum, `ma.StabilisedOuter`.

The plain scan is what one writes by hand, `lax.scan` over the recurrence with the reset selected in the
step and the read inside, differentiated by JAX; `plain, remat` is the same in segments of 32 steps that
are computed again in the gradient. `forward` is (last state, reads); `gradient` is that of a weighted sum
of the reads in all that is written and asked. Times are CPU-seconds of one core, as ratios to the plain
scan (larger is slower); memory is what XLA plans for temporaries, as a share of one array
(T, B, key, value).
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
SEGMENT = 32


class Setting(NamedTuple):
    """Sizes of a run."""

    widths: tuple[int, ...] = (64,)
    sizes: tuple[int, ...] = (16, 32, 64)
    kinds: tuple[str, ...] = ("sum", "one decay", "decay per key", "delta", "mLSTM")
    length: int = 1024
    batch: int = 8
    repeats: int = 5


QUICK = Setting(widths=(4,), sizes=(16,), length=64, batch=2, repeats=1)

MONOIDS: dict[str, Callable[[int], ma.AbstractMonoid]] = {
    "sum": lambda width: ma.nn.NormalisedOuterSum(width, width),
    "one decay": lambda width: ma.GatedOuter(width, width, per_key=False),
    "decay per key": lambda width: ma.GatedOuter(width, width),
    "delta": lambda width: ma.DeltaRule(width, width),
    "mLSTM": lambda width: ma.StabilisedOuter(width, width),
}


def steps_of(kind: str, setting: Setting, width: int) -> tuple[Any, Any, Any]:
    """(generators, queries, start) of a batch."""
    rng = np.random.default_rng(0)
    shape = (setting.batch, setting.length)

    def normal(*sizes: int) -> np.ndarray:
        return rng.normal(size=(*shape, *sizes)).astype(np.float32)

    def uniform(low: float, *sizes: int) -> np.ndarray:
        return rng.uniform(low, 1.0, size=(*shape, *sizes)).astype(np.float32)

    keys, values, queries = normal(width), normal(width), normal(width)
    if kind == "sum":
        keys, queries = np.abs(keys) + 0.1, np.abs(queries) + 0.1
    else:
        keys /= np.linalg.norm(keys, axis=-1, keepdims=True)
    rest = {
        "sum": (),
        "one decay": (uniform(0.9),),
        "decay per key": (uniform(0.9, width),),
        "delta": (uniform(0.0), uniform(0.9)),
        "mLSTM": (np.log(uniform(0.9)), normal()),
    }[kind]
    start = rng.random(shape) < 1 / EPISODE
    return jax.tree.map(jnp.asarray, ((keys, values, *rest), queries, start))


# ---- what one writes by hand -------------------------------------------------------------------


def plain_sum(state: Any, now: Any) -> Any:
    (total, normaliser), ((k, v), q) = state, now
    total, normaliser = total + k[:, None] * v[None, :], normaliser + k
    return (total, normaliser), (q @ total) / (normaliser @ q)


def plain_one_decay(state: Any, now: Any) -> Any:
    (k, v, decay), q = now
    state = decay * state + k[:, None] * v[None, :]
    return state, q @ state


def plain_decay_per_key(state: Any, now: Any) -> Any:
    (k, v, decay), q = now
    state = decay[:, None] * state + k[:, None] * v[None, :]
    return state, q @ state


def plain_delta(state: Any, now: Any) -> Any:
    (k, v, strength, decay), q = now
    state = decay * state
    state = state + (strength * (v - state @ k))[:, None] * k[None, :]
    return state, state @ q


def plain_mlstm(state: Any, now: Any) -> Any:
    (m, memory, normaliser), ((k, v, log_forget, log_input), q) = state, now
    after = jnp.maximum(m + log_forget, log_input)
    kept, added = jnp.exp(m + log_forget - after), jnp.exp(log_input - after)
    memory = kept * memory + added * (k[:, None] * v[None, :])
    normaliser = kept * normaliser + added * k
    read = q @ memory / jnp.maximum(jnp.abs(normaliser @ q), jnp.exp(-after))
    return (after, memory, normaliser), read


PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "sum": plain_sum,
    "one decay": plain_one_decay,
    "decay per key": plain_decay_per_key,
    "delta": plain_delta,
    "mLSTM": plain_mlstm,
}


def plain(kind: str, state: Any, generators: Any, queries: Any, start: Any) -> Any:
    def step(before: Any, now: Any) -> Any:
        *written, fresh = now
        entering = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), state, before)
        return PLAIN[kind](entering, tuple(written))

    return jax.lax.scan(step, state, (generators, queries, start))


def plain_in_segments(kind: str, state: Any, generators: Any, queries: Any, start: Any) -> Any:
    def step(before: Any, now: Any) -> Any:
        *written, fresh = now
        entering = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), state, before)
        return PLAIN[kind](entering, tuple(written))

    @jax.checkpoint
    def segment(before: Any, now: Any) -> Any:
        return jax.lax.scan(step, before, now)

    steps = (generators, queries, start)
    cut = jax.tree.map(lambda x: x.reshape(-1, SEGMENT, *x.shape[1:]), steps)
    last, reads = jax.lax.scan(segment, state, cut)
    return last, reads.reshape(-1, reads.shape[-1])


def by_method(
    monoid: ma.AbstractMonoid,
    method: ma.AbstractMethod,
    state: Any,
    generators: Any,
    queries: Any,
    start: Any,
) -> Any:
    return ma.trajectory(monoid, state, generators, start, queries=queries, method=method)


# ---- measuring ---------------------------------------------------------------------------------


def candidates(kind: str, setting: Setting, width: int) -> dict[str, Callable[..., Any]]:
    monoid = MONOIDS[kind](width)
    methods: dict[str, ma.AbstractMethod] = {"Sequential": ma.Sequential()}
    methods |= {f"Chunked({size})": ma.Chunked(size) for size in setting.sizes}
    runs = {
        "plain": functools.partial(plain, kind),
        "plain, remat": functools.partial(plain_in_segments, kind),
    }
    return runs | {
        name: functools.partial(by_method, monoid, method) for name, method in methods.items()
    }


def programs(run: Callable[..., Any], monoid: ma.AbstractMonoid) -> tuple[Any, Any]:
    """(forward, gradient) of a batch, jitted."""

    def forward(generators: Any, queries: Any, start: Any) -> Any:
        # The mLSTM's own first state has an exponent of -inf, of which the plain formula makes NaN.
        state = jax.tree.map(lambda x: jnp.maximum(x, -30.0), monoid.initial_state())
        return jax.vmap(functools.partial(run, state))(generators, queries, start)

    def loss(moving: Any, start: Any) -> Any:
        generators, queries = moving
        reads = forward(generators, queries, start)[1]
        return jnp.sum(reads * jnp.cos(jnp.arange(reads.shape[-1], dtype=reads.dtype)))

    def gradient(generators: Any, queries: Any, start: Any) -> Any:
        return jax.grad(loss)((generators, queries), start)

    return jax.jit(forward), jax.jit(gradient)


def measure(kind: str, setting: Setting, width: int) -> list[list[str]]:
    steps, monoid = steps_of(kind, setting, width), MONOIDS[kind](width)
    built = {
        name: [_timing.compiled(program, *steps) for program in programs(run, monoid)]
        for name, run in candidates(kind, setting, width).items()
    }
    results = {name: np.asarray(pair[0].call(*steps)[1]) for name, pair in built.items()}
    for name, reads in results.items():
        scale = np.max(np.abs(results["plain"]))
        error = np.max(np.abs(reads - results["plain"])) / scale
        if not error < 1e-3:
            raise AssertionError(f"{kind}, {name}: reads differ by {error}")
    seconds = [
        _timing.medians(
            _timing.interleaved(
                {
                    name: functools.partial(
                        _timing.settled_cpu_seconds,
                        functools.partial(pair[which].call, *steps),
                    )
                    for name, pair in built.items()
                },
                setting.repeats,
            )
        )
        for which in (0, 1)
    ]
    array = setting.length * setting.batch * width * width * 4
    rows = []
    for name, (forward, gradient) in built.items():
        ratios = [times[name] / times["plain"] for times in seconds]
        rows.append(
            [
                f"{kind}, {width}",
                name,
                *(f"{ratio:.2f}" for ratio in ratios),
                *(f"{1000 * times[name]:.1f}" for times in seconds),
                f"{forward.temp_bytes / array:.3f}",
                f"{gradient.temp_bytes / array:.3f}",
                f"{gradient.build_seconds:.1f}",
            ]
        )
    return rows


HEADER = [
    "memory, width",
    "method",
    "forward",
    "gradient",
    "forward, ms",
    "gradient, ms",
    "temp, forward",
    "temp, gradient",
    "build, s",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=Setting().sizes)
    parser.add_argument("--widths", type=int, nargs="+", default=Setting().widths)
    parser.add_argument("--kinds", nargs="+", default=Setting().kinds, choices=Setting().kinds)
    parser.add_argument("--repeats", type=int, default=Setting().repeats)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    chosen = parser.parse_args()
    setting = QUICK
    if not chosen.quick:
        setting = Setting(
            tuple(chosen.widths), tuple(chosen.sizes), tuple(chosen.kinds), repeats=chosen.repeats
        )
    print(f"{_timing.machine()}; T = {setting.length}, B = {setting.batch}\n")
    rows = [
        row
        for width in setting.widths
        for kind in setting.kinds
        for row in measure(kind, setting, width)
    ]
    print(_timing.markdown_table(HEADER, rows))


if __name__ == "__main__":
    _timing.run_single_threaded(main)
