"""Random expression trees of monoids, and the check that rewriting them changes nothing.

`python -m tests.trees 500` builds as many, and prints what fired and what differed.
"""

import collections
import functools
import operator
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import memoalg as ma
from memoalg.algebra._simplify import steps
from memoalg.laws._draw_combinators import draw_elements


def _wrap(x):
    return (x,)


def _unwrap(x):
    return x[0]


def _swap(x):
    return x[::-1]


TAGGED = ma.Isomorphism(_wrap, _unwrap)

GROUND: dict[str, Any] = {
    "add": lambda: ma.Add(2),
    "add-complex": lambda: ma.Add(2, jnp.complex64),
    "multiply": lambda: ma.Multiply(2),
    "max": lambda: ma.Max(2),
    "min": lambda: ma.Min(2),
    "log-sum-exp": lambda: ma.LogSumExp(2),
    "arg-max": lambda: ma.ArgMax(2),
    "first": lambda: ma.First(2),
    "last": lambda: ma.Last(2),
    "any": lambda: ma.Any(2),
    "all": lambda: ma.All(2),
    "count": lambda: ma.Count(2),
    "moments": lambda: ma.Moments(2),
    "mat-mul": lambda: ma.MatMul(2),
    "tropical": lambda: ma.MaxPlus(2),
    "log-mat-mul": lambda: ma.LogMatMul(2),
    "permutation": lambda: ma.Permutation(3),
    "rotation": lambda: ma.Rotation(2),
    "unit": lambda: ma.Unit(),
    "recent": lambda: ma.Recent(2, 3),
    "affine": lambda: ma.Affine(2),
    "affine-complex": lambda: ma.Affine(2, jnp.complex64),
    "max-plus": lambda: ma.SemidirectProduct(ma.Add(2), ma.Max(2), ma.shift),
    "log-affine": lambda: ma.LogAffine(2),
    "shared": lambda: ma.SemidirectProduct(ma.Multiply(2), ma.Add((2, 2)) * ma.Add(2)),
    "rows": lambda: ma.SemidirectProduct(ma.MatMul(2), ma.Add((3, 2)), ma.matmul),
    "matrix-affine": lambda: ma.MatrixAffine(2),
    "gated-outer": lambda: ma.GatedOuter(2, 2),
    "delta-rule": lambda: ma.DeltaRule(2, 2),
    "stabilised-outer": lambda: ma.StabilisedOuter(2, 2),
    "kalman": lambda: ma.Kalman(2),
}

SMOOTH = ("add", "multiply", "affine", "log-affine", "mat-mul", "delta-rule")
"""Whose `combine` is differentiable everywhere it is used, so that a tangent is a monoid."""


def random_tree(rng: np.random.Generator, depth: int) -> ma.AbstractMonoid:
    """A monoid of at most `depth` combinators on top of each other."""
    if depth == 0 or rng.random() < 0.15:
        return GROUND[rng.choice(list(GROUND))]()
    inner = functools.partial(random_tree, rng, depth - 1)
    kind = rng.choice(
        ["resettable"] * 3
        + ["product"] * 3
        + ["dual", "dual", "power", "power", "map", "map"]
        + ["with-identity", "window", "tangent", "regular"]
    )
    if kind == "product":
        return ma.DirectProduct(*(inner() for _ in range(rng.integers(1, 4))))
    if kind == "power":
        return ma.Power(inner(), int(rng.integers(1, 4)))
    if kind == "map":
        return ma.Map(inner(), TAGGED)
    if kind == "window":
        return ma.Window(inner(), int(rng.integers(1, 4)))
    if kind == "tangent":
        return ma.Tangent(GROUND[rng.choice(SMOOTH)]())
    one_operand: Any = {
        "resettable": ma.Resettable,
        "dual": ma.Dual,
        "with-identity": ma.WithIdentity,
        "regular": ma.Regular,
    }
    return one_operand[kind](inner())


def normal_form_in_random_order(rng: np.random.Generator, monoid: ma.AbstractMonoid, limit=200):
    """Apply single rules at random places until none fires."""
    for _ in range(limit):
        possible = list(steps(monoid))
        if not possible:
            return monoid
        monoid = possible[rng.integers(len(possible))].monoid  # pyright: ignore
    raise AssertionError(f"{limit} rules fired and there is more to rewrite")


def timed_elements(monoid: ma.AbstractMonoid, seed: int, length: int) -> Any:
    """Reachable elements with a leading axis."""
    drawn = draw_elements(monoid, ma.laws.Source(seed, length, mild=True))
    return jax.tree.map(jnp.asarray, drawn)


def loop(monoid: ma.AbstractMonoid, elements: Any, length: int) -> tuple[Any, list[Any]]:
    """The states of a plain Python loop: `act` and nothing else."""
    state, states = monoid.initial_state(), []
    for t in range(length):
        state = monoid.act(state, jax.tree.map(operator.itemgetter(t), elements))
        states.append(state)
    return state, states


def largest_difference(one: Any, other: Any) -> float:
    """Over all leaves, relative to the size of the leaf; infinite where non-finite values differ."""
    worst = 0.0
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if not np.issubdtype(a.dtype, np.inexact):
            worst = max(worst, float(np.any(a != b)))
            continue
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        scale = max(1.0, float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a))))
        with np.errstate(invalid="ignore"):
            gap = np.where(same, 0.0, np.abs(a - b))
        worst = max(worst, float(np.max(np.nan_to_num(gap, nan=np.inf), initial=0.0)) / scale)
    return worst


def stacked(states: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def canonical_states(monoid: ma.AbstractMonoid, states: Any) -> Any:
    """States that are elements, by their representatives; other states as they are."""
    if jax.tree.structure(monoid.identity()) == jax.tree.structure(monoid.initial_state()):
        shapes = [x.shape for x in jax.tree.leaves(monoid.identity())]
        if shapes == [x.shape for x in jax.tree.leaves(monoid.initial_state())]:
            if type(monoid).act is ma.AbstractMonoid.act:
                return jax.vmap(monoid.canon)(states) if jax.tree.leaves(states) else states
    return states


def check_tree(seed: int, depth: int = 5, length: int = 6) -> tuple[tuple[str, ...], float]:
    """Build, simplify, run by two methods; returns the rules that fired and the largest difference."""
    rng = np.random.default_rng(seed)
    monoid = random_tree(rng, depth)
    rewriting = ma.simplify(monoid)
    target: Any = rewriting.monoid
    assert ma.simplify(target).rules == (), "simplifying twice changes something"
    assert normal_form_in_random_order(rng, monoid) == target, "the order of rules matters"
    if not jax.tree.leaves(monoid.identity()) or not jax.tree.leaves(target.identity()):
        return rewriting.rules, 0.0  # nothing says how many steps there are
    elements = timed_elements(monoid, seed, length)
    _, states = loop(monoid, elements, length)
    expected = canonical_states(monoid, stacked(states))
    mapped = jax.vmap(rewriting.on_elements, axis_size=length)(elements)
    worst = 0.0
    for method in (ma.Sequential(), ma.Associative()):
        # Elements, not generators, are what a rewriting maps.
        regular = _OnElements(target)
        start = rewriting.on_states(monoid.initial_state())
        _, run = ma.trajectory(regular, start, mapped, None, method=method)
        back = canonical_states(
            monoid, jax.vmap(rewriting.on_states_inverse, axis_size=length)(run)
        )
        worst = max(worst, largest_difference(expected, back))
    return rewriting.rules, worst


class _OnElements(ma.AbstractCombinator):
    """A monoid whose generators are its elements."""

    monoid: ma.AbstractMonoid

    def identity(self):
        return self.monoid.identity()

    def combine(self, left, right):
        return self.monoid.combine(left, right)

    def initial_state(self):
        return self.monoid.initial_state()

    def act(self, state, element):
        return self.monoid.act(state, element)


def main(count: int) -> None:
    """Print how many trees were checked, which rules fired and the differences."""
    fired: collections.Counter[str] = collections.Counter()
    differences = []
    with jax.disable_jit():
        for seed in range(count):
            rules, difference = check_tree(seed)
            fired.update(rules)
            differences.append(difference)
    eps = float(np.finfo(np.float32).eps)
    print(f"{count} trees; rules fired: {dict(fired)}")
    print(
        f"largest difference {max(differences) / eps:.1f} eps, bitwise equal: {differences.count(0.0)}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
