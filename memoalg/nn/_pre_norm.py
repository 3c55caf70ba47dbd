"""The block of most published sequence models: a memory and a channel mixer, each behind a norm."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

from ._compose import Residual, Serial
from ._feed_forward import Pointwise
from ._layer import AbstractLayer
from ._norm import LayerNorm


def PreNorm(
    width: int,
    *layers: AbstractLayer | Callable[[Float[Array, " width"]], Float[Array, " width"]],
    norm: Callable[[int], Any] = LayerNorm,
) -> AbstractLayer:
    """`x + layer(norm(x))` for each layer, in turn; functions of one step are layers too.

    Arguments:
        width: of what all layers take and give.
        layers: a memory, and most often a channel mixer.
        norm: `width -> ` a normalisation of one vector.
    """

    def one(layer: AbstractLayer | Callable) -> Residual:
        if not isinstance(layer, AbstractLayer):
            layer = Pointwise(layer, width, width)
        return Residual(Serial(Pointwise(norm(width), width, width), layer))

    residuals = [one(layer) for layer in layers]
    return residuals[0] if len(residuals) == 1 else Serial(*residuals)
