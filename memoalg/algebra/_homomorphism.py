"""Maps between monoids that respect the operator."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import equinox as eqx

from ._closure import require_same, shapes_of
from ._functions import compose
from ._monoid import AbstractSemigroup

Source = TypeVar("Source")
Target = TypeVar("Target")
Further = TypeVar("Further")


class Homomorphism(eqx.Module, Generic[Source, Target]):
    r"""A map $h: M \to N$ with $h(x \bullet y) = h(x) \bullet h(y)$ and $h(e) = e$.

    What it is good for: it can be pushed through a scan. The products of mapped elements are the
    mapped products, so the cheaper of the two may be computed:

    $$\mathrm{scan}_N(h(x_0), \dots, h(x_t)) = h(\mathrm{scan}_M(x_0, \dots, x_t)).$$

    Types are checked at construction; that the equations hold, `ma.laws.check_homomorphism` checks.

    Arguments:
        source: the monoid (or semigroup) M.
        target: the monoid (or semigroup) N.
        function: from an element of M to an element of N; it must hold no arrays.

    Raises:
        AlgebraTypeError: where the function does not map elements of the source to elements of the
            target.

    Example:
        The decay of a linear recurrence does not depend on its inputs.

        >>> import jax.numpy as jnp, memoalg as ma
        >>> def decay(element):
        ...     return element[0]
        >>> h = ma.Homomorphism(ma.Affine(), ma.Multiply(), decay)
        >>> print(h((jnp.float32(0.5), jnp.float32(3.0))))
        0.5
    """

    source: AbstractSemigroup[Source, Any]
    target: AbstractSemigroup[Target, Any]
    function: Callable[[Source], Target] = eqx.field(static=True)

    def __check_init__(self) -> None:
        for name, operand in (("source", self.source), ("target", self.target)):
            if not isinstance(operand, AbstractSemigroup):
                raise TypeError(
                    f"Homomorphism(source, target, function): {name} must be a monoid, got "
                    f"{type(operand).__name__}"
                )
        image = shapes_of(self, self.__call__, self.source.element)
        require_same(self, "function", self.target.element, image, "the target's element")

    def __call__(self, element: Source) -> Target:
        return self.function(element)

    def then(self, other: "Homomorphism[Target, Further]") -> "Homomorphism[Source, Further]":
        """This map, then `other`.

        Raises:
            ValueError: where `other` does not begin where this one ends.
        """
        if other.source != self.target:
            raise ValueError(
                "then: the second homomorphism must begin where the first ends, but its source is "
                f"{type(other.source).__name__} and the first one's target {type(self.target).__name__}"
            )
        return Homomorphism(self.source, other.target, compose(self.function, other.function))
