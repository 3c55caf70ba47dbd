"""`Sharded` on meshes of virtual devices, in processes of their own, and what it says when misused."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false

import json
import os
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import memoalg as ma
from memoalg import Sharded
from tests.scans.sharded_program import GROUPS, SLOW

# What is compiled here is small and runs once.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def launch(module, *arguments, devices):
    flags = f"--xla_force_host_platform_device_count={devices} {QUICK}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def assert_went_well(process):
    try:
        out, error = process.communicate(timeout=900)
    finally:
        process.kill()
    assert process.returncode == 0, f"exit status {process.returncode}\n{error[-4000:]}"
    wrong = json.loads(out.splitlines()[-1])
    assert not wrong, "\n".join(f"{name}:\n{text}" for name, text in wrong.items())


@pytest.mark.parametrize("group", GROUPS)
def test_on_eight_devices(group):
    """Each case of the group is a function in `sharded_program.py`."""
    assert_went_well(launch("tests.scans.sharded_program", group, devices=8))


@pytest.mark.slow
@pytest.mark.parametrize("group", SLOW)
def test_on_eight_devices_at_length(group):
    assert_went_well(launch("tests.scans.sharded_program", group, devices=8))


def test_in_two_processes():
    """Two processes with two devices each, over loopback."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    ranks = [launch("tests.scans.two_processes", rank, port, devices=2) for rank in (0, 1)]
    try:
        for process in ranks:
            assert_went_well(process)
    finally:
        for process in ranks:
            process.kill()


# ---- in this process, on one device ----------------------------------------------------------------


def one_device():
    return jax.make_mesh((1,), ("time",), axis_types=(AxisType.Auto,))


def states(method, decays, inputs):
    return ma.trajectory(ma.Affine(2), jnp.ones(2), (decays, inputs), None, method=method)[1]


def inside(method):
    cut = P("time")

    def run(decays, inputs):
        return states(method, decays, inputs)

    return jax.shard_map(run, mesh=one_device(), in_specs=(cut, cut), out_specs=cut)


def test_one_device_is_a_mesh_too():
    decays, inputs = jnp.full((5, 2), 0.5), jnp.ones((5, 2))
    expected = states(ma.Sequential(), decays, inputs)
    np.testing.assert_array_equal(inside(Sharded("time"))(decays, inputs), expected)
    whole = states(Sharded("time", mesh=one_device()), decays, inputs)
    np.testing.assert_array_equal(whole, expected)


def test_an_empty_piece_is_left_as_it_is():
    nothing = jnp.zeros((0, 2))
    assert inside(Sharded("time"))(nothing, nothing).shape == (0, 2)


def equations(jaxpr, inside_remat=False):
    """All equations, at any depth, each with whether it will be computed again in the gradient."""
    for equation in jaxpr.eqns:
        yield equation, inside_remat
        again = inside_remat or equation.primitive.name in ("checkpoint", "remat2", "remat")
        for value in jax.tree.leaves(equation.params):
            inner = value.jaxpr if isinstance(value, ClosedJaxpr) else value
            if isinstance(inner, Jaxpr):
                yield from equations(inner, again)


def spreads(function, *arguments):
    """How often rows are spread apart, (at all, other than computed again in the gradient).

    That is how a tree puts its levels together, and the transpose of how it takes every second row.
    """

    def is_spread(equation):
        config = equation.params.get("padding_config", ())
        return equation.primitive.name == "pad" and any(gap > 0 for _, _, gap in config)

    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    found = [again for equation, again in equations(jaxpr) if is_spread(equation)]
    return len(found), found.count(False)


def differentiated_trees(method):
    """How much more often the gradient of a piece's trajectory spreads rows than the trajectory does."""
    monoid, rows = ma.Moments(2), jnp.ones((8, 2))  # Not elementwise: its tree has no own adjoint.

    def run(rows):
        # What enters a loop has to vary over devices as the rows do.
        state = jax.tree.map(lambda x: x + 0 * jnp.sum(rows), monoid.initial_state())
        return ma.trajectory(monoid, state, rows, None, method=method)[1]

    cut = P("time")
    many = jax.shard_map(run, mesh=one_device(), in_specs=cut, out_specs=cut)
    gradient = jax.grad(lambda rows: sum(map(jnp.sum, many(rows))))
    return spreads(gradient, rows)[1] - spreads(many, rows)[0]


def test_no_tree_is_differentiated_under_shard_map():
    """jaxlib 0.11.2 crashes (SIGSEGV in the CPU compiler, two devices or more) on the reverse mode of a
    tuple-valued associative scan inside `shard_map`: jax 0.10.2 and 0.12.0.1 do not. What runs by
    default has an adjoint of its own, and a tree is computed again in the gradient."""
    # What the test looks for is there to be found.
    assert differentiated_trees(ma.Associative()) > 0
    for local in (ma.Auto(), ma.Sequential(), ma.Associative()):
        assert differentiated_trees(Sharded("time", local)) == 0


def test_outside_of_shard_map_it_says_what_to_write():
    message = r"""Sharded\('time'\): no mesh axis 'time' is bound here. .* inside jax.shard_map .*
        or give the mesh: ma.Sharded\('time', mesh=mesh\)"""
    with pytest.raises(ValueError, match=" ".join(message.split())):
        ma.scan(ma.Add(), jnp.ones(3), method=Sharded("time"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), r'takes the name of a mesh axis, got 3; write ma.Sharded\("time"\)'),
        (((),), r"takes the name of a mesh axis, got \(\)"),
        (("time", "auto"), "local is how one device runs its piece, .* got 'auto'"),
        (("time", Sharded("time")), "local is how one device runs its piece"),
    ],
    ids=["number", "no name", "name of a method", "sharded twice"],
)
def test_wrong_arguments(arguments, message, without_hook):
    with pytest.raises(TypeError, match=message):
        Sharded(*arguments)


def test_a_mesh_without_the_axis():
    with pytest.raises(ValueError, match=r"the mesh has no such axis, but \('time',\)"):
        Sharded("sequence", mesh=one_device())


def test_a_layer_that_is_no_monoid_says_so():
    layer = ma.nn.GRU(2, 3, key=jax.random.key(0))
    with pytest.raises(TypeError, match=r"GRU is no monoid: .* its time axis cannot be sharded"):
        layer(layer.init_carry(), jnp.ones((4, 2)), None, method=Sharded("time"))


def test_blocks_of_a_sequence_over_devices_say_what_to_write():
    method = Sharded("time")
    with pytest.raises(ValueError, match=r"every=2: a time axis over several devices.*remat"):
        ma.trajectory(ma.Add(), jnp.zeros(()), jnp.ones(4), None, every=2, method=method)


def test_the_last_state_over_devices():
    mesh = one_device()
    last = ma.last_state(
        ma.Add(), jnp.zeros(()), jnp.ones(4), None, method=Sharded("time", mesh=mesh)
    )
    assert last == 4
