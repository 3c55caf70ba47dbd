"""The kernels compiled for CUDA ahead of time: launches and transposes counted, without a GPU.

It needs the extra `aot`, `jax-cuda12-plugin` and `jax-cuda12-pjrt` of jax's own version:
XLA's compiler for NVIDIA GPUs. Each test compiles in a process of its own, because Mosaic aborts the
process where it cannot compile.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def has_compiler() -> bool:
    try:
        names = "jax_plugins.xla_cuda12", "jax_plugins.xla_cuda13"
        return any(importlib.util.find_spec(name) is not None for name in names)
    except ModuleNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not has_compiler(), reason="no CUDA compiler: install memoalg[aot]")

PROGRAM = """
import collections, json, re, sys
import jax, jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding
import memoalg as ma
from memoalg.scans._kernel import Kernel

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
CARDS = {
    "h100": (132, 227 * 1024, "major: 9 feature_extension: ACCELERATED_FEATURES"),
    "a100": (108, 163 * 1024, "major: 8"),
}
TARGET = '''gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: %d shared_memory_per_block_optin: %d
  core_count: %d fpus_per_core: 64 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
  block_dim_limit_z: 65535 memory_bandwidth: 2000000000000 l2_cache_size: 41943040
  clock_rate_ghz: 1.5 device_memory_size: 42505273344 registers_per_core_limit: 65536
  registers_per_block_limit: 65536 cuda_compute_capability { %s }
}
platform_name: "CUDA" dnn_version_info { major: 9 } runtime_version { major: 12 minor: 9 }
device_description_str: "%s"'''
FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}


def device(card):
    cores, shared, capability = CARDS[card]
    text = TARGET % (shared + 1024, shared, cores, capability, card)
    return topologies.get_topology_desc(
        "", platform="cuda", target_config=text, topology="1x1x1"
    ).devices[0]


def launches(text):
    found = []
    for line in text[text.index("\\nENTRY") :].splitlines()[2:]:
        match = re.match(r"\\s+(?:ROOT )?%?([\\w.-]+) = .*? ([\\w-]+)\\(", line)
        if match and match[2] not in FREE:
            found.append(match.groups())
    return found


def max_plus(shape, dtype):
    return ma.SemidirectProduct(ma.Add(shape, dtype), ma.Max(shape, dtype), ma.shift)


MONOIDS = {"affine": ma.Affine, "max-plus": max_plus, "log-affine": ma.LogAffine}


def compiled(card, back_end, axis, steps, batch, lanes, monoid, dtype, fixed):
    sharding = SingleDeviceSharding(device(card))
    algebra = MONOIDS[monoid](lanes, dtype)

    def one(a, u, start, state):
        generators = (ma.Fixed(a) if fixed else a, u)
        return ma.trajectory(algebra, state, generators, start, method=Kernel(back_end))

    def run(a, u, start, state, bars):
        axes = (None if fixed else axis, axis, axis, 0)
        batched = jax.vmap(one, in_axes=axes, out_axes=(0, axis))
        outputs, pull = jax.vjp(lambda a, u, state: batched(a, u, start, state), a, u, state)
        return outputs, pull(bars)

    def struct(shape, dtype=dtype):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    times = (batch, steps) if axis == 0 else (steps, batch)
    rows, states = struct((*times, lanes)), struct((batch, lanes))
    a = struct((lanes,)) if fixed else rows
    arguments = (a, rows, struct(times, jnp.bool_), states, (states, rows))
    return jax.jit(run, out_shardings=sharding).lower(*arguments).compile()


results = []
for case in json.loads(sys.argv[1]):
    executable = compiled(*case)
    text = executable.as_text()
    counted = launches(text)
    results.append({
        "launches": len(counted),
        "kernels": sum(kind == "custom-call" for _, kind in counted),
        "moves": [name for name, kind in counted if re.search("copy|transpose", name + kind)],
        "is_mosaic": "mosaic" in text,
        "temporary": executable.memory_analysis().temp_size_in_bytes,
    })
print(json.dumps(results))
"""


def counts(cases, x64=False):
    """One dict for each case `[card, back end, batch axis, T, B, D, monoid, dtype, fixed]`."""
    environment = {
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": str(x64),
        "PYTHONPATH": ":".join(sys.path),
    }
    command = [sys.executable, "-c", PROGRAM, json.dumps(cases)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("card", "back_end", "is_mosaic"),
    [
        ("a100", "auto", False),
        ("h100", "auto", True),
        pytest.param("h100", "triton", False, marks=pytest.mark.slow),
    ],
)
def test_two_kernels_and_no_copy_whichever_axis_the_batch_has(card, back_end, is_mosaic):
    """Forward and gradient: the flags made bytes, a kernel each way; nothing but sums is kept."""
    cases = [[card, back_end, axis, 1024, 1024, 128, "affine", "float32", False] for axis in (0, 1)]
    for count in counts(cases):
        assert count["kernels"] == 2
        assert count["launches"] <= 3
        assert count["moves"] == []
        assert count["is_mosaic"] == is_mosaic
        assert count["temporary"] < 0.02 * 1024 * 1024 * 128 * 4


@pytest.mark.slow
@pytest.mark.parametrize(("card", "back_end"), [("a100", "triton"), ("h100", "mosaic")])
def test_every_recurrence_compiles(card, back_end):
    """Fixed decays (one launch more: their sum over the batch), max-plus, logarithms, other dtypes."""
    kinds = [
        ("affine", "float32", True),
        ("max-plus", "float32", False),
        ("log-affine", "float32", False),
        ("affine", "bfloat16", False),
        ("affine", "complex64", False),
    ]
    cases = [[card, back_end, 1, 64, 512, 128, *kind] for kind in kinds]
    results = counts(cases)
    assert all(count["kernels"] == 2 and count["moves"] == [] for count in results)
    assert all(count["launches"] <= 4 for count in results[:3])


@pytest.mark.slow
def test_lanes_that_fill_no_block_are_masked():
    cases = [["h100", "auto", axis, 64, 512, 100, "affine", "float32", False] for axis in (0, 1)]
    for count in counts(cases):
        assert (count["launches"], count["moves"], count["is_mosaic"]) == (3, [], False)


@pytest.mark.slow
def test_double_precision_is_left_to_triton():
    [count] = counts([["h100", "auto", 1, 64, 512, 128, "affine", "float64", False]], x64=True)
    assert (count["kernels"], count["is_mosaic"]) == (2, False)


@pytest.mark.slow
@pytest.mark.parametrize("card", ["a100", "h100"])
def test_a_small_batch_is_cut_in_time(card):
    """Totals, what enters each chunk, and states: three kernels each way."""
    [count] = counts([[card, "auto", 0, 8192, 2, 128, "affine", "float32", False]])
    assert count["kernels"] == 6
    assert count["launches"] <= 12
    assert count["moves"] == []


def test_mosaic_refuses_an_older_card_before_it_can_abort():
    with pytest.raises(AssertionError, match=r"needs compute capability 9.0, this GPU has 8.0"):
        counts([["a100", "mosaic", 1, 64, 512, 128, "affine", "float32", False]])
