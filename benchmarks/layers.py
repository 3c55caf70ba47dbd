"""Whole sequence layers of memoalg beside memax 0.1.1 and a plain `lax.scan`, in one run.

    pip install memax==0.1.1        # without it, only the plain scan is compared
    python benchmarks/layers.py [--layers LRU S6] [--repeats 7] [--quick]

The layers, in the same widths everywhere (float32, start flags with an episode of 64 steps on
average, states at every step read out):

- LRU: input and output 128, 128 complex states; λ from ν and θ, γ, and complex B and C. D is a
  vector in memax and in the plain scan, and a full matrix in memoalg (which may have unequal input
  and output sizes): memoalg does a fifth more arithmetic.
- linear attention: input and output 128, one head, keys and values 64, feature map elu + 1. memax
  and the plain scan add the input to the output, memoalg has biases on keys, queries and values
  instead. memax's normaliser is the last key instead of the sum of keys: its numbers differ.
- S6: input and output 128, 128 channels of one state, which is all that memax has. memax's map to
  the step widths is a full matrix: rank 128 in memoalg. memax's input and output gates are one matrix
  each, as long as the channels; memoalg's are vectors (B and C), followed by an output matrix.
- FFM: input and output 128, 64 traces in 4 contexts. memax passes the input itself through the
  output gate, memoalg a matrix times the input, as in the paper, and memax counts steps.

The plain scan, for the first two, is what one writes by hand: projections for all steps at once,
then `lax.scan` over a batched step that selects the reset, then the output projection; gradients by
autodiff. `forward` is (last carry, outputs) of a batch; `gradient` is that of a weighted sum of
outputs in parameters and inputs; `build` is trace + compile with jax's caches emptied, median of
three; times are CPU-seconds.
"""

import argparse
import functools
import importlib.metadata
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import _timing
import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

EPISODE = 64
CONTEXTS = 4
BUILD_REPEATS = 3


class Setting(NamedTuple):
    """Sizes of a run: (length, batch) pairs, layer width, state sizes, repeats."""

    shapes: tuple[tuple[int, int], ...] = ((1024, 16), (8192, 1))
    width: int = 128
    lru_states: int = 128
    key_size: int = 64
    traces: int = 64
    repeats: int = 7


QUICK = Setting(shapes=((32, 2),), width=8, lru_states=8, key_size=4, traces=4, repeats=2)


class Peer(NamedTuple):
    """One implementation of a layer.

    Attributes:
        parameters: a pytree; its floating arrays are differentiated.
        forward: `(parameters, xs, start) -> (carry, ys)` on (batch, time) arrays.
    """

    parameters: Any
    forward: Callable[[Any, Array, Array], tuple[Any, Array]]


# ---- plain scans -----------------------------------------------------------------------------


class PlainLRU(eqx.Module):
    """Parameters of the LRU, as in its paper."""

    nu_log: Array
    theta_log: Array
    gamma_log: Array
    b: tuple[Array, Array]
    c: tuple[Array, Array]
    d: Array


class PlainAttention(eqx.Module):
    """Parameters of linear attention."""

    key: Array
    query: Array
    value: Array
    output: Array
    bias: Array


def plain_lru(setting: Setting, key: Array) -> Peer:
    width, states = setting.width, setting.lru_states
    keys = jax.random.split(key, 7)
    modulus = jax.random.uniform(keys[0], (states,), minval=0.4, maxval=0.999)
    parameters = PlainLRU(
        nu_log=jnp.log(-jnp.log(modulus)),
        theta_log=jnp.log(jax.random.uniform(keys[1], (states,), minval=0.01, maxval=3.0)),
        gamma_log=0.5 * jnp.log1p(-(modulus**2)),
        b=(random(keys[2], states, width), random(keys[3], states, width)),
        c=(random(keys[4], width, states), random(keys[5], width, states)),
        d=jax.random.normal(keys[6], (width,)),
    )
    return Peer(parameters, plain_lru_forward)


def plain_lru_forward(p: PlainLRU, xs: Array, start: Array) -> tuple[Array, Array]:
    decay = jnp.exp(jax.lax.complex(-jnp.exp(p.nu_log), jnp.exp(p.theta_log)))
    b = jax.lax.complex(*p.b) * jnp.exp(p.gamma_log)[:, None]
    inputs = jnp.swapaxes(xs, 0, 1).astype(decay.dtype) @ b.T

    def step(state, step_input):
        start, value = step_input
        state = decay * jnp.where(start[:, None], 0.0, state) + value
        return state, state

    state, states = jax.lax.scan(step, jnp.zeros_like(inputs[0]), (start.T, inputs))
    ys = (states @ jax.lax.complex(*p.c).T).real
    return state, jnp.swapaxes(ys, 0, 1) + p.d * xs


def plain_attention(setting: Setting, key: Array) -> Peer:
    width, size = setting.width, setting.key_size
    keys = jax.random.split(key, 4)
    parameters = PlainAttention(
        key=random(keys[0], width, size),
        query=random(keys[1], width, size),
        value=random(keys[2], width, size),
        output=random(keys[3], size, width),
        bias=jnp.zeros(width),
    )
    return Peer(parameters, plain_attention_forward)


def plain_attention_forward(p: PlainAttention, xs: Array, start: Array) -> tuple[Any, Array]:
    times = jnp.swapaxes(xs, 0, 1)
    k, q, v = 1 + jax.nn.elu(times @ p.key), 1 + jax.nn.elu(times @ p.query), times @ p.value

    def step(carry, inputs):
        start, k, q, v = inputs
        total, normaliser = carry
        total = jnp.where(start[:, None, None], 0.0, total) + k[:, :, None] * v[:, None, :]
        normaliser = jnp.where(start[:, None], 0.0, normaliser) + k
        weight = jnp.sum(q * normaliser, axis=-1, keepdims=True) + 1e-6
        return (total, normaliser), jnp.einsum("bk,bkv->bv", q, total) / weight

    carry = jnp.zeros((*k.shape[1:], v.shape[-1])), jnp.zeros(k.shape[1:])
    carry, reads = jax.lax.scan(step, carry, (start.T, k, q, v))
    return carry, jnp.swapaxes(reads @ p.output + p.bias, 0, 1) + xs


def random(key: Array, *shape: int) -> Array:
    return jax.random.normal(key, shape) / jnp.sqrt(shape[-1])


# ---- memax and memoalg -----------------------------------------------------------------------


def memax_peer(layer: Any) -> Peer:
    def forward(layer, xs, start):
        batch = xs.shape[0]
        first = layer.initialize_carry()
        carry = jax.tree.map(lambda x: jnp.broadcast_to(x, (batch, *x.shape)), first)
        states, ys = eqx.filter_vmap(layer)(carry, (xs, start))
        return jax.tree.map(lambda x: x[:, -1], states), ys

    return Peer(layer, forward)


def memax_lru(setting: Setting, key: Array) -> Peer:
    from memax.equinox.semigroups.lru import LRU

    return memax_peer(LRU(setting.lru_states, setting.width, key))


def memax_attention(setting: Setting, key: Array) -> Peer:
    from memax.equinox.semigroups.fart import FART

    return memax_peer(FART(setting.width, setting.key_size, key))


def memax_s6(setting: Setting, key: Array) -> Peer:
    from memax.equinox.semigroups.s6 import S6

    return memax_peer(S6(setting.width, setting.width, key))


def memax_ffm(setting: Setting, key: Array) -> Peer:
    from memax.equinox.semigroups.ffm import FFM

    return memax_peer(FFM(setting.width, setting.traces, CONTEXTS, key))


def memoalg_peer(layer: Any) -> Peer:
    def forward(layer, xs, start):
        batch = xs.shape[0]
        carry = jax.tree.map(lambda x: jnp.broadcast_to(x, (batch, *x.shape)), layer.init_carry())
        return jax.vmap(layer)(carry, xs, start)

    return Peer(layer, forward)


def memoalg_lru(setting: Setting, key: Array) -> Peer:
    import memoalg as ma

    width = setting.width
    return memoalg_peer(ma.nn.LRU(width, width, setting.lru_states, key=key))


def memoalg_attention(setting: Setting, key: Array) -> Peer:
    import memoalg as ma

    width, size = setting.width, setting.key_size
    return memoalg_peer(ma.nn.LinearAttention(width, width, size, key=key))


def memoalg_s6(setting: Setting, key: Array) -> Peer:
    import memoalg as ma

    width = setting.width
    return memoalg_peer(ma.nn.S6(width, width, 1, rank=width, key=key))


def memoalg_ffm(setting: Setting, key: Array) -> Peer:
    import memoalg as ma

    width = setting.width
    return memoalg_peer(ma.nn.FFM(width, width, setting.traces, CONTEXTS, key=key))


LAYERS: dict[str, dict[str, Callable[[Setting, Array], Peer]]] = {
    "LRU": {"memoalg": memoalg_lru, "lax.scan": plain_lru, "memax": memax_lru},
    "linear attention": {
        "memoalg": memoalg_attention,
        "lax.scan": plain_attention,
        "memax": memax_attention,
    },
    "S6": {"memoalg": memoalg_s6, "memax": memax_s6},
    "FFM": {"memoalg": memoalg_ffm, "memax": memax_ffm},
}


# ---- measuring -------------------------------------------------------------------------------


class Programs(NamedTuple):
    """A peer's two functions, not yet compiled, with their arguments bound."""

    forward: Callable[..., Any]
    gradient: Callable[..., Any]
    arguments: tuple[Any, Array, Array]

    def build(self, which: str) -> _timing.Compiled:
        """Trace and compile `which` from nothing."""

        # A new function each time: jax remembers what it traced by identity.
        def fresh(*arguments: Any) -> Any:
            return getattr(self, which)(*arguments)

        return _timing.rebuilt(lambda: jax.jit(fresh), *self.arguments)


class Figures(NamedTuple):
    """What one peer needs for one layer at one shape; seconds and bytes."""

    forward: float
    gradient: float
    forward_build: float
    gradient_build: float
    gradient_temp: float


def data(setting: Setting, length: int, batch: int) -> tuple[Array, Array, Array]:
    keys = jax.random.split(jax.random.key(1), 3)
    xs = jax.random.normal(keys[0], (batch, length, setting.width))
    start = jax.random.bernoulli(keys[1], 1 / EPISODE, (batch, length))
    return xs, start, jax.random.normal(keys[2], xs.shape)


def programs(peer: Peer, setting: Setting, length: int, batch: int) -> Programs:
    xs, start, weights = data(setting, length, batch)
    arrays, static = eqx.partition(peer.parameters, eqx.is_inexact_array)

    def forward(arrays, xs, start):
        return peer.forward(eqx.combine(arrays, static), xs, start)

    def weighted_sum(arrays_and_xs, start):
        arrays, xs = arrays_and_xs
        return jnp.vdot(forward(arrays, xs, start)[1], weights)

    def gradient(arrays, xs, start):
        return jax.grad(weighted_sum)((arrays, xs), start)

    return Programs(forward, gradient, (arrays, xs, start))


def figures(peers: dict[str, Programs], repeats: int) -> dict[str, Figures]:
    """Let the peers take turns, first in building, then in running."""

    def built(which: str) -> tuple[dict[str, _timing.Compiled], dict[str, float]]:
        latest: dict[str, _timing.Compiled] = {}

        def build(name: str) -> float:
            latest[name] = peers[name].build(which)
            return latest[name].build_seconds

        calls = {name: functools.partial(build, name) for name in peers}
        return latest, _timing.medians(_timing.interleaved(calls, min(repeats, BUILD_REPEATS)))

    def run(executables: dict[str, _timing.Compiled]) -> dict[str, float]:
        works = {
            name: functools.partial(executable.call, *peers[name].arguments)
            for name, executable in executables.items()
        }
        # Each measured call follows an unmeasured one of the same peer.
        calls = {n: functools.partial(_timing.settled_cpu_seconds, w) for n, w in works.items()}
        return _timing.medians(_timing.interleaved(calls, repeats))

    (forwards, forward_builds), (gradients, gradient_builds) = built("forward"), built("gradient")
    forward, gradient = run(forwards), run(gradients)
    return {
        name: Figures(
            forward[name],
            gradient[name],
            forward_builds[name],
            gradient_builds[name],
            gradients[name].temp_bytes,
        )
        for name in peers
    }


def rows(title: str, found: dict[str, Figures]) -> list[list[str]]:
    """One row per peer: the figure, and its multiple of memoalg's where it is another's."""
    own = found["memoalg"]

    def cell(text: str, value: float, reference: float) -> str:
        return text if value == reference else f"{text} ({value / reference:.2f}×)"

    def row(name: str, f: Figures) -> list[str]:
        return [
            title,
            name,
            cell(f"{1e3 * f.forward:.2f}", f.forward, own.forward),
            cell(f"{1e3 * f.gradient:.2f}", f.gradient, own.gradient),
            cell(f"{f.forward_build:.2f}", f.forward_build, own.forward_build),
            cell(f"{f.gradient_build:.2f}", f.gradient_build, own.gradient_build),
            cell(_timing.megabytes(f.gradient_temp), f.gradient_temp, own.gradient_temp),
        ]

    return [row(name, f) for name, f in found.items()]


HEADER = (
    "layer, T × B", "implementation", "forward CPU-ms", "gradient CPU-ms",
    "build forward CPU-s", "build gradient CPU-s", "gradient temp MB",
)  # fmt: skip


def memax_version() -> str | None:
    try:
        return importlib.metadata.version("memax")
    except importlib.metadata.PackageNotFoundError:
        return None


def measure(setting: Setting, names: list[str], layers: list[str]) -> list[list[str]]:
    table: list[list[str]] = []
    for layer in layers:
        for length, batch in setting.shapes:
            makers = {n: make for n, make in LAYERS[layer].items() if n in names}
            made = {n: make(setting, jax.random.key(0)) for n, make in makers.items()}
            ready = {n: programs(peer, setting, length, batch) for n, peer in made.items()}
            table += rows(f"{layer}, {length} × {batch}", figures(ready, setting.repeats))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="memoalg's layers beside memax and lax.scan.")
    parser.add_argument("--layers", nargs="*", default=list(LAYERS), choices=list(LAYERS))
    parser.add_argument("--repeats", type=int, help="measurements per figure")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run?")
    options = parser.parse_args()
    setting = QUICK if options.quick else Setting()
    if options.repeats:
        setting = setting._replace(repeats=options.repeats)
    version = memax_version()
    print("Command: python", " ".join(sys.argv))
    print("Machine:", _timing.machine())
    print("memax", version or "is not installed (pip install memax==0.1.1): left out")
    print(f"Median of {setting.repeats}; in brackets the multiple of memoalg's figure\n")
    names = ["memoalg", "lax.scan"] + (["memax"] if version else [])
    print(_timing.markdown_table(HEADER, measure(setting, names, options.layers)))


if __name__ == "__main__":
    _timing.run_single_threaded(main)
