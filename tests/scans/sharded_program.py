"""What `test_sharded.py` runs where there are eight devices: each case is a function that asserts.

Run as `python -m tests.scans.sharded_program GROUP` with eight CPU devices; it prints what went wrong,
by case, as a JSON object.
"""

# Wrong calls are the point of some cases here.
# pyright: reportArgumentType=false, reportCallIssue=false

import functools
import json
import re
import sys
import time
import traceback
import warnings

if __name__ == "__main__":
    import jaxtyping

    jaxtyping.install_import_hook("memoalg", "beartype.beartype")

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import memoalg as ma
from memoalg import Sharded
from memoalg._tree import split_inexact
from tests.registry import MONOIDS, generators, reachable_state

T = 8
STARTS = {"none": [], "some": [1, 4, 5], "first and last": [0, 7], "all": list(range(T))}


def mesh_of(*sizes):
    names = ("time",) if len(sizes) == 1 else ("data", "time")
    return jax.make_mesh(sizes, names, axis_types=(AxisType.Auto,) * len(sizes))


def over_time(function, mesh, whole, cut, out=(P(), P("time")), **options):
    """`function` under shard_map: `whole` arguments are replicated, `cut` ones sharded over time."""
    specs = (*[P()] * whole, *[P("time")] * cut)
    return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=out, **options)


def loss_of(outputs):
    """A number that depends on every inexact output, with a different weight for each entry."""

    def weigh(leaf):
        real = leaf.real if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else leaf
        weights = jnp.cos(jnp.arange(leaf.size, dtype=jnp.float32)).reshape(leaf.shape)
        finite = jnp.where(jnp.isfinite(real), real, 0).astype(jnp.float32)
        return jnp.sum(jnp.sin(finite) * weights)

    moving = split_inexact(outputs)[0]
    return sum((weigh(leaf) for leaf in jax.tree.leaves(moving)), jnp.zeros(()))


def with_gradient(function):
    """`function(whole, cut, still)` with its gradient in all that is inexact of `whole` and `cut`."""

    def both(whole, cut, *still):
        moving, rest = split_inexact((whole, cut))

        def loss(moving):
            outputs = function(*eqx.combine(moving, rest), *still)
            return loss_of(outputs), outputs

        if not jax.tree.leaves(moving):
            return function(whole, cut, *still)
        (_, outputs), gradient = jax.value_and_grad(loss, has_aux=True)(moving)
        return outputs, gradient

    return both


def assert_close(actual, expected, tolerance=1e-5):
    actual, expected = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(actual) == len(expected)
    for one, two in zip(actual, expected, strict=True):
        assert one.dtype == two.dtype
        kind = np.complex128 if np.iscomplexobj(two) else np.float64
        one, two = np.asarray(one).astype(kind), np.asarray(two).astype(kind)
        scale = max(1.0, np.max(np.abs(np.where(np.isfinite(two), two, 0)), initial=0))
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * scale)


def collectives(function, *arguments):
    """How many of each a program has, by its compiled text."""
    text = jax.jit(function).lower(*arguments).compile().as_text()
    kinds = "all-gather", "reduce-scatter", "all-reduce", "collective-permute", "all-to-all"
    counts = {kind: len(re.findall(rf" {kind}(?:-start)?\(", text)) for kind in kinds}
    return {kind: count for kind, count in counts.items() if count}


def trajectory(monoid, method, reverse, whole, cut, start):
    (state, initial), (steps, queries) = whole, cut
    return ma.trajectory(
        monoid,
        state,
        steps,
        start,
        initial_state=initial,
        queries=queries,
        reverse=reverse,
        method=method,
    )


def arguments_of(name, dtype="float32"):
    monoid = MONOIDS[name](jnp.dtype(dtype))
    one, two, three = jax.random.split(jax.random.key(7), 3)
    queries = jnp.ones((T, 2)) if name == "normalised-outer" else None
    state, initial = reachable_state(monoid, two), reachable_state(monoid, three)
    return monoid, (state, initial), (generators(monoid, one, T), queries)


def assert_equals_one_device(name, mesh, local=None, tolerance=1e-5):
    """Values and all gradients, both directions, wherever episodes start."""
    monoid, whole, cut = arguments_of(name)
    method = Sharded("time") if local is None else Sharded("time", local)

    def runs(whole, cut, start):
        results = []
        for reverse in (False, True):
            one = functools.partial(trajectory, monoid, ma.Sequential(), reverse)
            sharded = functools.partial(trajectory, monoid, method, reverse)
            many = over_time(sharded, mesh, 1, 2)
            results.append([with_gradient(run)(whole, cut, start) for run in (one, many)])
        return results

    run = jax.jit(runs)
    for which in STARTS.values():
        for expected, actual in run(whole, cut, jnp.isin(jnp.arange(T), jnp.array(which, int))):
            assert_close(actual, expected, tolerance)


# ---- the cases -------------------------------------------------------------------------------------


def no_start_fixed_decay_constant_initial():
    """`start=None`; a decay without a time axis gets its gradient from every device."""
    monoid = ma.Affine(3) * ma.Add(())
    decay, inputs = jnp.array([0.5, -0.9, 1.1]), jax.random.normal(jax.random.key(0), (T, 3))

    def run(method, whole, cut):
        state, decay = whole
        steps = (ma.Fixed(decay), cut), cut[:, 0]
        return ma.trajectory(monoid, state, steps, None, method=method)

    whole = (jnp.array([1.0, 2.0, 3.0]), jnp.ones(())), decay
    one = functools.partial(run, ma.Sequential())
    many = over_time(functools.partial(run, Sharded("time")), mesh_of(4), 1, 1)
    assert_close(*(jax.jit(with_gradient(f))(whole, inputs) for f in (many, one)))


def constant_initial_state_with_starts():
    """Without `initial_state`, starts reset to the monoid's own, also across a border in reverse."""
    monoid, (state, _), (steps, _) = arguments_of("log-affine")
    start = jnp.isin(jnp.arange(T), jnp.array([2, 5, 6]))

    def run(method, whole, cut, start):
        return ma.trajectory(monoid, whole, cut, start, reverse=True, method=method)

    one = functools.partial(run, ma.Sequential())
    many = over_time(functools.partial(run, Sharded("time")), mesh_of(4), 1, 2)
    assert_close(*(jax.jit(with_gradient(f))(state, steps, start) for f in (many, one)))


def half_precision():
    """bfloat16 states are exchanged as they are; their cotangents are summed in float32."""
    monoid = ma.Affine(3, jnp.bfloat16, decay_dtype=jnp.float32)
    decays = jax.random.uniform(jax.random.key(0), (T, 3))
    inputs = jax.random.normal(jax.random.key(1), (T, 3), jnp.bfloat16)

    def run(method, whole, cut):
        return ma.trajectory(monoid, whole, cut, None, method=method)

    one = functools.partial(run, ma.Sequential())
    many = over_time(functools.partial(run, Sharded("time")), mesh_of(4), 1, 1)
    state, steps = jnp.ones(3, jnp.bfloat16), (decays, inputs)
    assert_close(*(jax.jit(with_gradient(f))(state, steps) for f in (many, one)), 3e-2)
    assert "bf16[4" not in jax.jit(many).lower(state, steps).as_text()  # bits, not numbers


def batches_on_a_second_axis():
    """A mesh of data and time, `jax.vmap` inside, a whole model, parameters replicated."""
    layer = ma.nn.make("lru", in_size=3, out_size=2, width=4, depth=1, key=jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (4, T, 3))
    start = jax.random.bernoulli(jax.random.key(2), 0.2, (4, T))

    def run(method, layer, xs, start):
        def one(x, start):
            return layer(layer.init_carry(), x, start, method=method)

        return jax.vmap(one)(xs, start)

    cut = P("data", "time")
    many = jax.shard_map(
        functools.partial(run, Sharded("time")),
        mesh=mesh_of(2, 4),
        in_specs=(P(), cut, cut),
        out_specs=(P("data"), cut),
    )
    one = functools.partial(run, ma.Sequential())
    assert_close(*(jax.jit(with_gradient(f))(layer, xs, start) for f in (many, one)))
    place = NamedSharding(mesh_of(2, 4), cut)
    xs, start = jax.device_put((xs, start), place)

    def loss(layer, xs):
        return jnp.sum(jnp.sin(many(layer, xs, start)[1]))

    # All parameters' gradients are summed over the devices.
    assert collectives(many, layer, xs, start) == {"all-gather": 1}
    by_both = collectives(jax.grad(loss, (0, 1)), layer, xs)
    assert by_both.pop("all-reduce") >= 1
    assert by_both == {"all-gather": 1, "reduce-scatter": 1}


def one_exchange_each_way(names=("product",)):
    """One all-gather forward, one reduce-scatter more backward, for many leaves of several dtypes."""
    for name in names:
        monoid, whole, cut = arguments_of(name)
        start = jnp.zeros(T, bool).at[3].set(True)
        whole, (cut, start) = (
            jax.device_put(whole, NamedSharding(mesh_of(4), P())),
            jax.device_put((cut, start), NamedSharding(mesh_of(4), P("time"))),
        )
        for reverse in (False, True):
            run = functools.partial(trajectory, monoid, Sharded("time"), reverse)
            many = over_time(run, mesh_of(4), 1, 2)
            assert collectives(many, whole, cut, start) == {"all-gather": 1}
            moving, rest = split_inexact(cut)

            def reads(moving, many=many, rest=rest, whole=whole, start=start):
                # The last state is one more thing that is the same everywhere.
                return loss_of(many(whole, eqx.combine(moving, rest), start)[1:])

            found = collectives(jax.grad(reads), moving)
            assert found == {"all-gather": 1, "reduce-scatter": 1}, (name, reverse, found)


def whole_arrays_with_a_mesh():
    """`mesh=` makes the `shard_map`: a model as anywhere, and no more is exchanged."""
    mesh = mesh_of(4)
    layer = ma.nn.make("lru", in_size=3, out_size=2, width=4, depth=1, key=jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (T, 3))
    start = jnp.isin(jnp.arange(T), jnp.array([3, 6]))

    def run(method, layer, xs, start):
        return layer(layer.init_carry(), xs, start, method=method)

    many = functools.partial(run, Sharded("time", mesh=mesh))
    one = functools.partial(run, ma.Sequential())
    assert_close(*(jax.jit(with_gradient(f))(layer, xs, start) for f in (many, one)))
    xs, start = jax.device_put((xs, start), NamedSharding(mesh, P("time")))
    assert jax.jit(many)(layer, xs, start)[1].sharding.spec == P("time")
    assert collectives(lambda xs: many(layer, xs, start)[1], xs) == {"all-gather": 1}
    sum_of = lambda xs: jnp.sum(jnp.sin(many(layer, xs, start)[1]))
    assert collectives(jax.grad(sum_of), xs) == {"all-gather": 1, "reduce-scatter": 1}
    with pytest.raises(ValueError, match=r"10 steps cannot be cut into 4 .* pad .* to 12 steps"):
        ma.scan(ma.Add(), jnp.ones(10), method=Sharded("time", mesh=mesh))


def whole_arrays_in_reverse_and_batched():
    """With `mesh=`: starts in reverse, and a batch over a second axis by `spmd_axis_name`."""
    mesh = mesh_of(2, 4)
    monoid, whole, cut = arguments_of("affine")
    starts = jnp.stack([jnp.isin(jnp.arange(T), jnp.array(s, int)) for s in STARTS.values()])

    def run(method, whole, cut, start):
        one = functools.partial(trajectory, monoid, method, True)
        spmd = None if method == ma.Sequential() else "data"
        return jax.vmap(one, in_axes=(None, None, 0), spmd_axis_name=spmd)(whole, cut, start)

    methods = Sharded("time", mesh=mesh), ma.Sequential()
    runs = [jax.jit(with_gradient(functools.partial(run, method))) for method in methods]
    assert_close(*(run(whole, cut, starts) for run in runs))


def scans_and_folds():
    """Prefixes, suffixes and products; `exclusive_scan` looks across the borders."""
    monoid, xs = ma.MatMul(2), jax.random.normal(jax.random.key(0), (T, 2, 2))
    mesh = mesh_of(4)

    def run(method, xs):
        both = [
            function(monoid, xs, reverse=reverse, method=method)
            for function in (ma.scan, ma.exclusive_scan)
            for reverse in (False, True)
        ]
        return ma.fold(monoid, xs, method=method), both

    inside = over_time(functools.partial(run, Sharded("time")), mesh, 0, 1)
    outside = functools.partial(run, Sharded("time", mesh=mesh))
    expected = run(ma.Sequential(), xs)
    for many in (inside, outside):
        assert_close(jax.jit(many)(xs), expected)


def types_need_not_be_checked():
    """`check_vma=False` gives the same numbers."""
    monoid, whole, cut = arguments_of("max-plus")
    start = jnp.isin(jnp.arange(T), jnp.array([3, 4]))
    one = functools.partial(trajectory, monoid, ma.Sequential(), True)
    run = functools.partial(trajectory, monoid, Sharded("time"), True)
    many = over_time(run, mesh_of(4), 1, 2, check_vma=False)
    assert_close(*(jax.jit(with_gradient(f))(whole, cut, start) for f in (many, one)))


def gradients_inside():
    """`jax.grad` inside `shard_map`, of a loss that is a sum over the devices."""
    mesh, monoid = mesh_of(4), ma.Affine(2)
    steps = jax.random.normal(jax.random.key(0), (2, T, 2))
    weights = jnp.cos(jnp.arange(T * 2.0)).reshape(T, 2)

    def loss(method, scale, steps, weights):
        steps = (scale[None] * steps[0], steps[1])
        last, reads = ma.trajectory(monoid, scale, steps, None, method=method)
        total = jnp.sum(weights * reads)
        return total if method == ma.Sequential() else jax.lax.psum(total, "time"), jnp.sum(last)

    def both(method, *arguments):
        return jax.grad(lambda *a: sum(loss(method, *a)))(*arguments)

    inside = over_time(functools.partial(both, Sharded("time")), mesh, 1, 2, P())
    scale, steps = jnp.array([0.5, 0.8]), (steps[0], steps[1])
    assert_close(
        jax.jit(inside)(scale, steps, weights), both(ma.Sequential(), scale, steps, weights)
    )


def derivatives_of_derivatives():
    """The gradient of a gradient differentiates both programs."""
    monoid, whole, cut = arguments_of("affine")
    start = jnp.isin(jnp.arange(T), jnp.array([3]))

    def curvature(run):
        moving, rest = split_inexact((whole, cut))

        def loss(moving):
            return loss_of(run(*eqx.combine(moving, rest), start))

        def steepness(moving):
            return loss_of(jax.grad(loss)(moving))

        return jax.jit(jax.grad(steepness))(moving)

    one = functools.partial(trajectory, monoid, ma.Sequential(), False)
    run = functools.partial(trajectory, monoid, Sharded("time"), False)
    assert_close(curvature(over_time(run, mesh_of(2), 1, 2)), curvature(one))


def nothing_before_a_start_reaches_what_follows():
    """Bitwise: NaN and inf on the shards before a start, values and gradients after it."""
    monoid, whole, (steps, _) = arguments_of("affine")
    start = jnp.isin(jnp.arange(T), jnp.array([3]))
    run = functools.partial(trajectory, monoid, Sharded("time"), False)
    many = over_time(run, mesh_of(4), 1, 2)

    @jax.jit
    def after(whole, steps):
        def loss(steps):
            last, reads = many(whole, (steps, None), start)
            return loss_of((last, reads[3:])), (last, reads[3:])

        gradient, kept = jax.grad(loss, has_aux=True)(steps)
        return kept, jax.tree.map(lambda leaf: leaf[3:], gradient)

    clean = after(whole, steps)
    for value in (np.nan, np.inf, -np.inf):
        dirty = jax.tree.map(lambda leaf, value=value: leaf.at[:3].set(value), steps)
        jax.tree.map(np.testing.assert_array_equal, after(whole, dirty), clean)


class Forgetful(ma.AbstractMethod):
    """A loop whose last state is typed as if it did not vary."""

    def run(self, monoid, state, generators, resets, initial_state, queries, reverse):
        given = (monoid, state, generators, resets, initial_state, queries, reverse)
        last, reads = ma.Sequential().run(*given)
        return jax.tree.map(lambda leaf: jax.lax.psum(leaf, "time"), last), reads


def a_method_that_forgets_types():
    """A result typed as replicated would get a wrong gradient: it is refused."""
    run = functools.partial(ma.scan, ma.Add(), method=Sharded("time", Forgetful()))
    with pytest.raises(TypeError, match=r"the last state of Forgetful\(\) is typed as if"):
        over_time(run, mesh_of(2), 0, 1, P("time"))(jnp.ones(4))


def several_axes_as_one():
    """A tuple of mesh axes, in the order of a PartitionSpec."""
    mesh = mesh_of(2, 4)
    run = functools.partial(ma.scan, ma.Add(), method=Sharded(("data", "time")))
    cut = P(("data", "time"))
    many = jax.shard_map(run, mesh=mesh, in_specs=cut, out_specs=cut)
    np.testing.assert_array_equal(jax.jit(many)(jnp.arange(16.0)), jnp.cumsum(jnp.arange(16.0)))


def _equals(name, size, local=None):
    return lambda: assert_equals_one_device(name, mesh_of(size), local)


# One process each. The handful of monoids differ in kind: states that are elements or not, several
# leaves and dtypes, no embedding, reads, matrices, a total with a form of its own.
GROUPS = {
    "monoids": {
        f"{name} on {size}": _equals(name, size)
        for name, size in [
            ("affine", 8),
            ("product", 2),
            ("resettable", 4),
            ("normalised-outer", 4),
            ("matrix-affine", 4),
            ("delta-rule", 4),
        ]
    }
    | {"affine by kernels": _equals("affine", 4, ma.Kernel())},
    "ways": {
        function.__name__: function
        for function in (
            no_start_fixed_decay_constant_initial,
            constant_initial_state_with_starts,
            half_precision,
            batches_on_a_second_axis,
            one_exchange_each_way,
            whole_arrays_with_a_mesh,
            whole_arrays_in_reverse_and_batched,
            scans_and_folds,
            types_need_not_be_checked,
            gradients_inside,
            derivatives_of_derivatives,
            nothing_before_a_start_reaches_what_follows,
            several_axes_as_one,
            a_method_that_forgets_types,
        )
    },
}
SLOW = {
    f"all monoids on {size}": {name: _equals(name, size) for name in MONOIDS} for size in (2, 4, 8)
} | {
    "more": {
        "exchanges": lambda: one_exchange_each_way(["affine", "nested", "moments", "delta-rule"]),
        "trees": _equals("product", 4, ma.Associative()),
        "chunks": _equals("normalised-outer", 4, ma.Chunked(16)),
    }
}


def main(group):
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    warnings.simplefilter("error")
    wrong = {}
    for name, case in (GROUPS | SLOW)[group].items():
        before = time.process_time()
        try:
            case()
        except Exception:
            wrong[name] = traceback.format_exc()
        sys.stderr.write(f"{name}: {time.process_time() - before:.1f} s\n")
    sys.stdout.write(json.dumps(wrong))


if __name__ == "__main__":
    main(sys.argv[1])
