"""One of two processes that share a mesh: `python -m tests.scans.two_processes RANK PORT`."""

import functools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import memoalg as ma
from memoalg import Sharded

T = 12


def total(method, whole, cut, start):
    """A loss of a trajectory that runs backwards through starts, and the trajectory."""
    state, initial = whole
    monoid = ma.SemidirectProduct(ma.Add(3), ma.Max(3), ma.shift) * ma.Affine(2, jnp.complex64)
    last, reads = ma.trajectory(
        monoid, state, cut, start, initial_state=initial, reverse=True, method=method
    )
    return last, reads


def with_gradient(run, whole, cut, start):
    def loss(whole, cut):
        outputs = run(whole, cut, start)
        leaves = jax.tree.leaves(outputs)
        return sum(jnp.sum(jnp.sin(leaf.real)) for leaf in leaves), outputs

    gradient, outputs = jax.grad(loss, (0, 1), has_aux=True)(whole, cut)
    return outputs, gradient


def main(rank, port):
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=rank)
    assert (jax.device_count(), jax.local_device_count()) == (4, 2)
    keys = jax.random.split(jax.random.key(0), 6)
    normal = jax.random.normal
    cut = (
        (normal(keys[0], (T, 3)), normal(keys[1], (T, 3))),
        (
            0.5 * normal(keys[2], (T, 2), jnp.complex64),
            normal(keys[3], (T, 2), jnp.complex64),
        ),
    )
    whole = [(normal(key, (3,)), normal(key, (2,), jnp.complex64)) for key in keys[4:]]
    start = jnp.isin(
        jnp.arange(T), jnp.array([3, 7])
    )  # the first steps of devices 1 and, inside, 2
    one = functools.partial(total, ma.Sequential())
    expected = jax.jit(functools.partial(with_gradient, one))(whole, cut, start)

    mesh = jax.make_mesh((4,), ("time",), axis_types=(AxisType.Auto,))
    specs = P(), P("time"), P("time")
    many = jax.shard_map(
        functools.partial(total, Sharded("time")),
        mesh=mesh,
        in_specs=specs,
        out_specs=(P(), P("time")),
    )

    def place(tree, spec):
        sharding = NamedSharding(mesh, spec)

        def put(leaf):
            leaf = np.asarray(leaf)
            return jax.make_array_from_callback(leaf.shape, sharding, lambda at: leaf[at])

        return jax.tree.map(put, tree)

    arguments = [place(tree, spec) for tree, spec in zip((whole, cut, start), specs, strict=True)]
    found = jax.jit(functools.partial(with_gradient, many))(*arguments)
    for got, want in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(process_allgather(got, tiled=True), want, rtol=0, atol=1e-5)
    sys.stdout.write(json.dumps({}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
