"""Mistakes in actions, in maps between monoids, and in rewriting."""

# A subclass of a module is built by its base's __init__, which a checker of dataclasses does not see.
# pyright: reportCallIssue=false

import jax.numpy as jnp

import memoalg as ma
from tests.laws.mutant import Mutant


def _exp(x):
    return jnp.exp(x)


def _log(x):
    return jnp.log(x)


def _log1p(x):
    return jnp.log1p(x)


class _AddAction(ma.AbstractAction):
    def __call__(self, base, acting):
        return base + acting * acting


class _ExpAction(ma.AbstractAction):
    def __call__(self, base, acting):
        return base * jnp.exp(-acting)


class _HalfAction(ma.AbstractAction):
    def __call__(self, base, acting):
        return 0.5 * base * acting


class _TransposedMatmul(ma.AbstractAction):
    def __call__(self, base, acting):
        return base @ acting.T


class _SwappedActions(ma.algebra.ProductAction):
    def __call__(self, base, acting):
        pairs = zip(self.actions, base, reversed(acting), strict=True)
        return tuple(action(b, a) for action, b, a in pairs)


class _MaskedMultiply(ma.AbstractAction):
    def __call__(self, base, acting):
        return jnp.where(acting > 0, base * acting, base)


def _two_actions():
    action = _SwappedActions((ma.multiply, ma.shift))
    return action, ma.Multiply(2) * ma.Add(2), ma.Add(2) * ma.Max(2)


def _action(build, what):
    return Mutant(build, what, "check_action")


ACTIONS: dict[str, Mutant] = {
    "AbstractAction: shift of sums": _action(
        lambda: (ma.shift, ma.Add(2), ma.Add(2)), "a shift does not distribute over sums"
    ),
    "AbstractAction: signs of maxima": _action(
        lambda: (ma.multiply, ma.Multiply(2), ma.Max(2)), "negative factors turn a maximum round"
    ),
    "AbstractAction: squares": _action(
        lambda: (_AddAction(), ma.Add(2), ma.Max(2)), "squares of shifts do not add up"
    ),
    "AbstractAction: exponent": _action(
        lambda: (_ExpAction(), ma.Multiply(2), ma.Add(2)), "exponents add; Multiply acts"
    ),
    "AbstractAction: half": _action(
        lambda: (_HalfAction(), ma.Multiply(2), ma.Add(2)), "a factor remains where nothing acts"
    ),
    "MatvecAction: order": _action(
        lambda: (ma.matvec, ma.MatMul(2), ma.Add((2, 3))), "composed in the wrong order"
    ),
    "MatmulAction: transposed": _action(
        lambda: (_TransposedMatmul(), ma.MatMul(2), ma.Add((3, 2))), "the transpose acts"
    ),
    "MatmulAction: dual": _action(
        lambda: (ma.matmul, ma.Dual(ma.MatMul(2)), ma.Add((3, 2))), "rows acted on by the dual"
    ),
    "ProductAction: swapped": _action(_two_actions, "each part acts on the other's base"),
    "MultiplyAction: positive only": _action(
        lambda: (_MaskedMultiply(), ma.Multiply(2), ma.Add(2)), "factors up to 0 do nothing"
    ),
    "ShiftAction: of logarithms": _action(
        lambda: (ma.multiply, ma.Add(2), ma.LogSumExp(2)), "log decays multiply logarithms"
    ),
}
"""By `class: mistake`; what is built is given to `ma.laws.check_action`."""


def _plain_fold(element):
    (a, b), start = element
    return jnp.where(start, jnp.zeros_like(a), a), b


def _inverted_fold(element):
    (a, b), start = element
    return jnp.where(start, a, jnp.zeros_like(a)), b


def _fold_of_both(element):
    (a, b), start = element
    return jnp.where(start, jnp.zeros_like(a), a), jnp.where(start, jnp.zeros_like(b), b)


def _fold_to_one(element):
    (a, b), start = element
    return jnp.where(start, jnp.ones_like(a), a), b


def _fold_log_to_large(element):
    (a, b), start = element
    return jnp.where(start, jnp.full_like(a, -1e4), a), b


def _both_flags(element):
    (x, inner), outer = element
    return x, inner & outer


def _outer_flag(element):
    (x, _), outer = element
    return x, outer


def _crossed(element):
    (a, b), (a2, b2) = element
    return (a2, a), (b, b2)


def _mixing_reshape(leaf):
    return jnp.moveaxis(leaf, 2, 0).reshape(4, 2, 2)


def _second(element):
    return element[1]


def _transpose(matrix):
    return matrix.T


def _negated(x):
    return -x


def _doubled(x):
    return 2 * x


def _halved(x):
    return x / 2


def _shifted(x):
    return x + 1


def _normalised(x):
    return x / jnp.maximum(1, jnp.abs(x).max())


def _same(x):
    return x


_EXP = ma.Isomorphism(_exp, _log)
_DOUBLE = ma.Isomorphism(_doubled, _halved)


def _map(source, target, function, what):
    return Mutant(lambda: ma.Homomorphism(source(), target(), function), what, "check_homomorphism")


def _reset_affine():
    return ma.Resettable(ma.Affine(2))


def _reset_max():
    return ma.Resettable(ma.SemidirectProduct(ma.Add(2), ma.Max(2), ma.shift))


def _folded():
    return ma.simplify(_reset_affine()).monoid


MAPS: dict[str, Mutant] = {
    "fold_reset: plain zero": _map(
        _reset_affine, lambda: ma.Affine(2), _plain_fold, "a plain zero does not forget NaN"
    ),
    "fold_reset: inverted": _map(_reset_affine, _folded, _inverted_fold, "the flag is inverted"),
    "fold_reset: base": _map(_reset_affine, _folded, _fold_of_both, "the new input is lost too"),
    "fold_reset: one": _map(_reset_affine, _folded, _fold_to_one, "a start keeps everything"),
    "fold_reset: large": _map(
        _reset_max,
        lambda: ma.SemidirectProduct(ma.Add(2), ma.Max(2), ma.shift),
        _fold_log_to_large,
        "a large negative number in place of minus infinity",
    ),
    "merge_resets: and": _map(
        lambda: ma.Resettable(ma.Resettable(ma.Add(2))),
        lambda: ma.Resettable(ma.Add(2)),
        _both_flags,
        "flags are joined by and",
    ),
    "merge_resets: outer": _map(
        lambda: ma.Resettable(ma.Resettable(ma.Add(2))),
        lambda: ma.Resettable(ma.Add(2)),
        _outer_flag,
        "the inner flag is lost",
    ),
    "join_semidirect: places": _map(
        lambda: ma.Affine(2) * ma.Affine(2),
        lambda: ma.simplify(ma.Affine(2) * ma.Affine(2)).monoid,
        _crossed,
        "acting parts change places, base parts do not",
    ),
    "merge_maps: order": _map(
        lambda: ma.Map(ma.Map(ma.Add(2), _EXP), _DOUBLE),
        lambda: ma.Map(ma.Add(2), _DOUBLE.then(_EXP)),
        _same,
        "the outer isomorphism comes first",
    ),
    "merge_powers: reshape": _map(
        lambda: ma.Power(ma.Power(ma.MatMul(2), 2), 2),
        lambda: ma.Power(ma.MatMul(2), 4),
        _mixing_reshape,
        "an axis of the matrices is merged with one of the copies",
    ),
    "drop_units: factor": _map(
        lambda: ma.Add(2) * ma.Max(2) * ma.Unit(),
        lambda: ma.Add(2) * ma.Max(2),
        lambda element: (element[0][1], element[0][0]),
        "factors change places",
    ),
    "cancel_duals: once": _map(
        lambda: ma.Dual(ma.MatMul(2)), lambda: ma.MatMul(2), _negated, "one dual is dropped"
    ),
    "Homomorphism: input of a recurrence": _map(
        lambda: ma.Affine(2), lambda: ma.Add(2), _second, "decays are forgotten"
    ),
    "Homomorphism: transpose": _map(
        lambda: ma.MatMul(2), lambda: ma.MatMul(2), _transpose, "transposition turns the order"
    ),
    "Homomorphism: log1p": _map(
        lambda: ma.Max(2), lambda: ma.Add(2), _log1p, "maxima are no sums of logarithms"
    ),
    "Homomorphism: shifted": _map(
        lambda: ma.Add(2), lambda: ma.Add(2), _shifted, "a constant is added"
    ),
    "Homomorphism: identity": _map(
        lambda: ma.Max(2), lambda: ma.Min(2), jnp.square, "squares are not monotone"
    ),
    "Homomorphism: normalised": _map(
        lambda: ma.Multiply(2), lambda: ma.Multiply(2), _normalised, "normalised before products"
    ),
}
"""By `rule: mistake`; what is built is given to `ma.laws.check_homomorphism`."""
