"""Every method on every class of monoid beside what one would use instead, in one run.

    pip install memax==0.1.1        # without it, the others are compared
    python benchmarks/scans.py [--classes affine ...] [--lengths 128 1024 ...] [--repeats 5] [--quick]
                               [--json FILE] [--plot FOLDER]

Trajectories with starts (an episode of 64 steps on average), float32, B = 8 sequences side by side
(`jax.vmap` over axis 1 of arrays (T, B, ...)), T up to 65,536:

- affine, complex: a decay and an input for each step, D = 64;
- fixed: the decay is the same at every step (`ma.Fixed`);
- max-plus: max(h + a, u), D = 64;
- moments: count, mean and second moment, D = 64 (a state of several arrays);
- matrix: h -> A h + b with a 4 x 4 matrix for each step;
- outer, delta: keys and values of 64, read by a query: a decay for each step, and the gated delta rule.

The alternatives: `lax.scan`, the recurrence written by hand with the reset selected in the step;
`lax.associative_scan` on elements with a flag (the "reset" or "lifted" monoid); memax's own scan and
`Resettable` where memax 0.1.1 has the monoid (complex). Gradients of the alternatives are JAX's; outer
products and delta are left out of the tree, whose elements are (T, B, 64, 64).

`forward` is (last state, states or reads); `gradient` is that of a weighted sum in all generators.
Times are CPU-seconds of one core as multiples of `lax.scan` (larger is slower); `build` is tracing and
compiling, likewise; `temp` is what XLA plans for temporaries in passes: multiples of one array of states
(or, for outer products, of reads).
"""

import argparse
import functools
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import _timing
import jax
import jax.numpy as jnp
from jax import Array

import memoalg as ma

EPISODE = 64
BATCH = 8
WIDTH = 64
REFERENCE = "lax.scan"
TREE_BELOW = 20_000
"""Trees of autodiff beyond this length take more memory and time than they tell."""


class Subject(NamedTuple):
    """A class of monoids with what is scanned.

    Attributes:
        monoid: for one sequence.
        generators: one leaf per part: (T, B, ...), `Fixed` parts without both.
        queries: (T, B, ...), or None to return the states.
        unit: numbers in one state or read.
    """

    monoid: ma.AbstractMonoid
    generators: Any
    queries: Array | None
    unit: int


def subject(name: str, length: int) -> Subject:
    """The inputs, of a size that neither dies out nor grows over T steps."""
    keys = jax.random.split(jax.random.key(0), 4)
    shape = (length, BATCH, WIDTH)
    decay, value = jax.random.uniform(keys[0], shape), jax.random.normal(keys[1], shape)
    if name == "affine":
        return Subject(ma.Affine(WIDTH), (decay, value), None, WIDTH)
    if name == "complex":
        turned = decay * jnp.exp(1j * value)
        generators = turned, jax.lax.complex(value, decay)
        return Subject(ma.Affine(WIDTH, jnp.complex64), generators, None, 2 * WIDTH)
    if name == "fixed":
        return Subject(ma.Affine(WIDTH), (ma.Fixed(decay[0, 0]), value), None, WIDTH)
    if name == "max-plus":
        monoid = ma.SemidirectProduct(ma.Add(WIDTH), ma.Max(WIDTH), ma.shift)
        return Subject(monoid, (-decay, value), None, WIDTH)
    if name == "moments":
        return Subject(ma.Moments(WIDTH), value, None, 3 * WIDTH)
    if name == "matrix":
        matrices = 0.4 * jax.random.normal(keys[2], (length, BATCH, 4, 4))
        return Subject(ma.MatrixAffine(4), (matrices, value[..., :4]), None, 4)
    queries = jax.random.normal(keys[2], shape)
    keys_of = jax.random.normal(keys[3], shape) / WIDTH**0.5
    gates = 0.9 + 0.1 * decay[..., 0]
    if name == "outer":
        monoid = ma.GatedOuter(WIDTH, WIDTH, per_key=False)
        return Subject(monoid, (keys_of, value, gates), queries, WIDTH)
    generators = keys_of, value, decay[..., 1], gates
    return Subject(ma.DeltaRule(WIDTH, WIDTH), generators, queries, WIDTH)


CLASSES = ("affine", "complex", "fixed", "max-plus", "moments", "matrix", "outer", "delta")
MATRICES = ("outer", "delta")

Scan = Callable[[Subject, Any, Array], Any]


def over_batch(one: Callable, generators: Any, start: Array, queries: Array | None) -> Any:
    """One sequence's function over axis 1; `Fixed` parts are shared."""
    marks = jax.tree.map(
        lambda node: None if isinstance(node, ma.Fixed) else 1,
        generators,
        is_leaf=lambda node: isinstance(node, ma.Fixed),
    )
    axes = (marks, 1, None if queries is None else 1)
    return jax.vmap(one, in_axes=axes, out_axes=(0, 1))(generators, start, queries)


def ours(method: ma.AbstractMethod) -> Scan:
    def run(subject: Subject, generators: Any, start: Array) -> Any:
        def one(generators: Any, start: Array, queries: Array | None) -> Any:
            state = subject.monoid.initial_state()
            return ma.trajectory(
                subject.monoid, state, generators, start, queries=queries, method=method
            )

        return over_batch(one, generators, start, subject.queries)

    return run


def plain_scan(subject: Subject, generators: Any, start: Array) -> Any:
    """The recurrence by hand, the reset selected inside the step."""
    monoid = subject.monoid

    def one(generators: Any, start: Array, queries: Array | None) -> Any:
        initial = monoid.initial_state()
        fixed = isinstance(generators, tuple) and isinstance(generators[0], ma.Fixed)

        def step(state: Any, now: Any) -> Any:
            generator, fresh, query = now
            if fixed:
                generator = (generators[0].value, generator)
            entering = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), initial, state)
            state = monoid.advance(entering, generator)
            return state, state if query is None else monoid.read(state, query)

        timed = generators[1] if fixed else generators
        return jax.lax.scan(step, initial, (timed, start, queries))

    return over_batch(one, generators, start, subject.queries)


def associative_scan(subject: Subject, generators: Any, start: Array) -> Any:
    """`lax.associative_scan` of elements with a reset flag; differentiated by JAX."""
    monoid = subject.monoid

    def one(generators: Any, start: Array, queries: Array | None) -> Any:
        if isinstance(generators, tuple) and isinstance(generators[0], ma.Fixed):
            decay = jnp.broadcast_to(generators[0].value, generators[1].shape)
            generators = decay, generators[1]
        elements = jax.vmap(monoid.expand)(generators)

        def combine(left: Any, right: Any) -> Any:
            (x, i), (y, j) = left, right
            product = jax.vmap(monoid.combine)(x, y)

            def select(a: Array, b: Array) -> Array:
                return jnp.where(j.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

            return jax.tree.map(select, y, product), i | j

        prefixes, _ = jax.lax.associative_scan(combine, (elements, start))
        states = jax.vmap(lambda x: monoid.act(monoid.initial_state(), x))(prefixes)
        return jax.tree.map(lambda leaf: leaf[-1], states), states

    return over_batch(one, generators, start, subject.queries)


def memax_scan(subject: Subject, generators: Any, start: Array) -> Any:
    """memax's `Resettable` semigroup and its scan, with the carry in front as its layers do."""
    from memax.equinox.groups import Resettable  # pyright: ignore[reportMissingImports]
    from memax.equinox.scans import semigroup_scan  # pyright: ignore[reportMissingImports]
    from memax.equinox.semigroups.lru import LRUSemigroup  # pyright: ignore

    algebra = Resettable(LRUSemigroup(WIDTH))

    def one(generators: Any, start: Array, queries: None) -> Any:
        carry = algebra.initialize_carry()
        (_, states), _ = semigroup_scan(algebra, carry, (generators, start))
        return states[-1], states

    return over_batch(one, generators, start, None)


def has_memax() -> bool:
    try:
        return importlib.metadata.version("memax") == "0.1.1"
    except importlib.metadata.PackageNotFoundError:
        return False


def scans_of(name: str, length: int) -> dict[str, Scan]:
    """What runs a class at a length."""
    found: dict[str, Scan] = {REFERENCE: plain_scan, "Sequential": ours(ma.Sequential())}
    if name in MATRICES:
        found["Sequential(remat=32)"] = ours(ma.Sequential(remat=32))
        return {**found, "Chunked": ours(ma.Chunked()), "Auto": ours(ma.Auto())}
    if length < TREE_BELOW:
        found["Associative"] = ours(ma.Associative())
        found["lax.associative_scan"] = associative_scan
        if has_memax() and name == "complex":
            found["memax"] = memax_scan
    return {**found, "Auto": ours(ma.Auto())}


class Figures(NamedTuple):
    """Seconds and passes of one scan."""

    forward: float
    gradient: float
    forward_build: float
    gradient_build: float
    forward_temp: float
    gradient_temp: float


def programs(scan: Scan, subject: Subject, start: Array) -> tuple[Callable, Callable]:
    """(forward, gradient) of the generators."""
    _, structure = jax.tree.flatten(subject.generators)

    def forward(moving: Any) -> Any:
        return scan(subject, jax.tree.unflatten(structure, moving), start)

    def loss(moving: Any) -> Array:
        leaves = [x.real for x in jax.tree.leaves(forward(moving)[1])]
        times = jnp.cos(jnp.arange(start.shape[0], dtype=jnp.float32))
        return sum(jnp.sum(x * times.reshape(-1, *(1,) * (x.ndim - 1))) for x in leaves)  # pyright: ignore

    return forward, jax.grad(loss)


def measure(name: str, length: int, repeats: int, with_gradient: bool) -> dict[str, Figures]:
    """All scans of a class at a length take turns."""
    case = subject(name, length)
    start = jax.random.bernoulli(jax.random.key(9), 1 / EPISODE, (length, BATCH))
    moving, _ = jax.tree.flatten(case.generators)
    unit = 4 * length * BATCH * case.unit
    built: dict[str, list[_timing.Compiled]] = {}
    for peer, scan in scans_of(name, length).items():
        chosen = programs(scan, case, start)[: 2 if with_gradient else 1]
        built[peer] = [_timing.compiled(jax.jit(f), moving) for f in chosen]
    seconds: list[dict[str, float]] = []
    for which in range(2 if with_gradient else 1):
        works = {
            peer: functools.partial(
                _timing.settled_cpu_seconds, functools.partial(built[peer][which].call, moving)
            )
            for peer in built
        }
        seconds.append(_timing.medians(_timing.interleaved(works, repeats)))
    nan = float("nan")

    def figures(peer: str) -> Figures:
        forward, gradient = (built[peer] + [None])[:2]
        return Figures(
            seconds[0][peer],
            nan if gradient is None else seconds[1][peer],
            forward.build_seconds,
            nan if gradient is None else gradient.build_seconds,
            forward.temp_bytes / unit,
            nan if gradient is None else gradient.temp_bytes / unit,
        )

    return {peer: figures(peer) for peer in built}


HEADER = (
    "class, T", "scan", "forward", "gradient", "build forward", "build gradient",
    "temp forward", "temp gradient",
)  # fmt: skip


def table_rows(title: str, found: dict[str, Figures]) -> list[list[str]]:
    own = found[REFERENCE]

    def ratio(value: float, reference: float) -> str:
        return "–" if value != value else f"{value / reference:.2f}"

    def passes(value: float) -> str:
        return "–" if value != value else f"{value:.2f}"

    return [
        [title, peer]
        + [ratio(getattr(f, field), getattr(own, field)) for field in Figures._fields[:4]]
        + [passes(f.forward_temp), passes(f.gradient_temp)]
        for peer, f in found.items()
    ]


def plot(results: dict[str, dict[int, dict[str, Figures]]], folder: Path) -> None:
    """Seconds over T, log-log, one figure for each class; every curve in the same run."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    for name, by_length in results.items():
        figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
        for axis, field, label in zip(
            axes,
            ("forward", "gradient", "gradient_build"),
            ("forward, CPU-s", "gradient, CPU-s", "build of the gradient, CPU-s"),
            strict=True,
        ):
            peers = dict.fromkeys(peer for found in by_length.values() for peer in found)
            for peer in peers:
                points = [(t, getattr(f[peer], field)) for t, f in by_length.items() if peer in f]
                own = "-" if not peer.startswith(("lax", "memax")) else "--"
                axis.loglog(*zip(*points, strict=True), own, marker=".", label=peer)
            axis.set_xlabel("T")
            axis.set_title(label, fontsize=9)
        axes[0].legend(fontsize=6)
        figure.suptitle(f"{name}, B = {BATCH}", fontsize=10)
        figure.savefig(folder / f"scans-{name}.svg")
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--classes", nargs="+", default=list(CLASSES), choices=CLASSES)
    parser.add_argument("--lengths", nargs="+", type=int, default=[128, 1024, 8192, 65536])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short length, to try it out")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--plot", type=Path, help="write log-log plots into this folder")
    options = parser.parse_args()
    lengths, repeats = ([64], 1) if options.quick else (options.lengths, options.repeats)
    print(_timing.machine())
    results: dict[str, dict[int, dict[str, Figures]]] = {}
    rows: list[list[str]] = []
    for name in options.classes:
        for length in lengths:
            # The states of a matrix memory, stored by a plain scan for its gradient, are 4 T B d² bytes.
            fits = name not in MATRICES or length <= 8192
            found = measure(name, length, repeats, fits)
            results.setdefault(name, {})[length] = found
            rows += table_rows(f"{name}, {length}", found)
    print(_timing.markdown_table(HEADER, rows))
    if options.json is not None:
        plain = {
            name: {t: {p: f._asdict() for p, f in found.items()} for t, found in by_length.items()}
            for name, by_length in results.items()
        }
        options.json.write_text(json.dumps(plain, indent=1))
    if options.plot is not None:
        plot(results, options.plot)


if __name__ == "__main__":
    _timing.run_single_threaded(main)
