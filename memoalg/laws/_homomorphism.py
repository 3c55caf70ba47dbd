"""The laws of maps between monoids."""

from typing import Any

import jax

from ..algebra import Homomorphism, Map
from ..scans import Associative, scan
from ._law import Law, Sides
from ._scan import expanded


def homomorphism(h: Homomorphism, x: Any, y: Any) -> Sides:
    """h(x • y) = h(x) • h(y).

    Usually: the map does not preserve the operator; is a constant added, or the order turned?
    """
    image = h.function(h.source.combine(x, y))
    return image, h.target.combine(h.function(x), h.function(y))


def homomorphism_identity(h: Any) -> Sides:
    """h(e) = e.

    Usually: the map sends an empty memory to one that is not.
    """
    return h.function(h.source.identity()), h.target.identity()


def homomorphism_scan(h: Homomorphism, xs: Any) -> Sides:
    """scan(h ∘ x) = h ∘ scan(x).

    Usually: the map is no homomorphism for long products.
    """
    elements = expanded(h.source, xs)
    after = jax.vmap(h.function)(scan(h.source, elements, method=Associative()))
    return scan(h.target, jax.vmap(h.function)(elements), method=Associative()), after


def isomorphism_backward(m: Map, x: Any) -> Sides:
    """forward(backward(x)) = x.

    Usually: forward and backward are no inverses of each other on what is reachable.
    """
    return m.isomorphism.forward(m.isomorphism.backward(x)), x


def isomorphism_forward(m: Map, s: Any) -> Sides:
    """backward(forward(s)) = s.

    Usually: forward loses something: it is no isomorphism, or a dtype is too narrow for its image.
    """
    return m.isomorphism.backward(m.isomorphism.forward(s)), s


HOMOMORPHISM: dict[str, Law] = {
    "homomorphism": homomorphism,
    "homomorphism_identity": homomorphism_identity,
}
HOMOMORPHISM_SCAN: dict[str, Law] = {"homomorphism_scan": homomorphism_scan}
ISOMORPHISM: dict[str, Law] = {"isomorphism_backward": isomorphism_backward}
ISOMORPHISM_SOURCE: dict[str, Law] = {"isomorphism_forward": isomorphism_forward}
