"""The semidirect product: a memory on which an input acts."""

from typing import Any, TypeVar

import jax
from jaxtyping import Array, PyTree

from .._tree import first_difference
from .._typing import DTypeLike, Shape
from ._action import AbstractAction, multiply
from ._add import Add
from ._errors import AlgebraTypeError
from ._inverse import group_in, inverse, is_invertible
from ._monoid import AbstractCombinator, AbstractMonoid
from ._multiply import Multiply
from ._traits import Tracks, is_elementwise, tracks

Acting = TypeVar("Acting")
Base = TypeVar("Base")


class SemidirectProduct(AbstractCombinator[tuple[Acting, Base], Base]):
    r"""A monoid acting on another, both at once: $A \ltimes B$.

    $$(a, b) \bullet (a', b') = (a \bullet a',\; (b \triangleleft a') \bullet b').$$

    The later acting part transforms what came before, then the later base part is combined. A *state*
    is the base part alone, $s \cdot (a, b) = (s \triangleleft a) \bullet b$: for a linear recurrence
    that is $a\,h + b$, and only $h$ is carried.

    Arguments:
        acting: the monoid whose elements act.
        base: the monoid acted on.
        action: an [`memoalg.AbstractAction`][] of `acting` on `base`; its three laws must hold.

    Raises:
        AlgebraTypeError: where the action does not map the base to its own type.

    Example:
        Decayed maximum; the state is the maximum alone.

        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.SemidirectProduct(ma.Add(), ma.Max(), action=ma.shift)
        >>> print(m.act(jnp.float32(5), (jnp.float32(-1), jnp.float32(3))))
        4.0
    """

    acting: AbstractMonoid[Acting, Any]
    base: AbstractMonoid[Base, Any]
    action: AbstractAction = multiply

    def __check_init__(self) -> None:
        for operand in (self.acting, self.base):
            if not isinstance(operand, AbstractMonoid):
                raise TypeError(
                    f"SemidirectProduct(acting, base) takes two monoids, got {type(operand).__name__}"
                )
        if not isinstance(self.action, AbstractAction):
            raise TypeError(
                f"action must be an AbstractAction such as ma.multiply or ma.shift, got "
                f"{type(self.action).__name__}"
            )
        _check_action(self.action, self.base.element, self.acting.element)

    def identity(self) -> tuple[Acting, Base]:
        return self.acting.identity(), self.base.identity()

    def combine(self, left: tuple[Acting, Base], right: tuple[Acting, Base]) -> tuple[Acting, Base]:
        (a, b), (a_later, b_later) = left, right
        return self.acting.combine(a, a_later), self.base.combine(self.action(b, a_later), b_later)

    def initial_state(self) -> Base:
        return self.base.identity()

    def act(self, state: Base, element: tuple[Acting, Base]) -> Base:
        a, b = element
        return self.base.combine(self.action(state, a), b)

    def embed(self, state: Base) -> tuple[Acting, Base]:
        return self.acting.identity(), state

    def project(self, element: tuple[Acting, Base]) -> Base:
        return element[1]

    def canon(self, element: tuple[Acting, Base]) -> tuple[Acting, Base]:
        return self.acting.canon(element[0]), self.base.canon(element[1])


def _check_action(action: AbstractAction, base: PyTree, acting: PyTree) -> None:
    try:
        moved = jax.eval_shape(action, base, acting)
    except (TypeError, ValueError) as error:
        raise AlgebraTypeError(
            f"SemidirectProduct: {type(action).__name__} failed: {error}"
        ) from error
    difference = first_difference(base, moved)
    if difference is not None:
        raise AlgebraTypeError(
            f"SemidirectProduct: {type(action).__name__} must map the base to its own type, but "
            f"differs in {difference}. Give `acting` and `base` fitting shapes and dtypes."
        )


def Affine(
    shape: Shape = (), dtype: DTypeLike | None = None, decay_dtype: DTypeLike | None = None
) -> SemidirectProduct[Array, Array]:
    r"""The monoid of maps $h \mapsto a\,h + b$, elementwise: every diagonal linear recurrence.

    $$(a, b) \bullet (a', b') = (a\,a',\; a'\,b + b'), \qquad e = (1, 0), \qquad
      s \cdot (a, b) = a\,s + b.$$

    It is `SemidirectProduct(Multiply(shape), Add(shape))`, spelled once.

    Hazard: a decay near 1 rounds to 1 in bfloat16 (0.9999 does); give `decay_dtype=jnp.float32`.

    Arguments:
        shape: of a and b; `4` means `(4,)`.
        dtype: of b and of the state, real or complex; None is the default float.
        decay_dtype: of a; None is `dtype`.

    Returns:
        The semidirect product.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> decays, inputs = jnp.full(3, 0.5), jnp.ones(3)
        >>> last, states = ma.trajectory(ma.Affine(), jnp.zeros(()), (decays, inputs), None)
        >>> print(states)
        [1.   1.5  1.75]
    """
    return SemidirectProduct(
        Multiply(shape, dtype if decay_dtype is None else decay_dtype), Add(shape, dtype), multiply
    )


@is_elementwise.register
def _(monoid: SemidirectProduct) -> bool:
    return (
        is_elementwise(monoid.acting)
        and is_elementwise(monoid.base)
        and is_elementwise(monoid.action)
    )


@is_invertible.register
def _(monoid: SemidirectProduct) -> bool:
    return is_invertible(monoid.acting) and is_invertible(monoid.base)


@inverse.register
def _(monoid: SemidirectProduct, element: Any) -> Any:
    r"""$(a, b)^{-1} = (a^{-1}, b^{-1} \triangleleft a^{-1})$."""
    a, b = element
    undo = inverse(monoid.acting, a)
    return undo, monoid.action(inverse(monoid.base, b), undo)


@tracks.register
def _(monoid: SemidirectProduct) -> Tracks:
    # Both parts contain their groups; whether the action makes a richer one is not claimed.
    return max(tracks(monoid.acting), tracks(monoid.base))


@group_in.register
def _(monoid: SemidirectProduct) -> tuple[Any, ...]:
    if tracks(monoid.acting) >= tracks(monoid.base):
        return tuple((g, monoid.base.identity()) for g in group_in(monoid.acting))
    return tuple((monoid.acting.identity(), g) for g in group_in(monoid.base))
