"""Every model by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import PRNGKeyArray

from ..algebra import Tracks
from ._layer import AbstractLayer
from .models._elman import Elman, elman
from .models._ffm import FFM, ffm
from .models._gru import GRU, gru
from .models._linear_attention import LinearAttention, linear_attention
from .models._lru import LRU, lru
from .models._lstm import LSTM, lstm
from .models._mgu import MGU, mgu
from .models._mlp import MLP, mlp
from .models._s6 import S6, s6

FAMILIES = {
    "elementwise": "Elementwise linear recurrences",
    "outer": "Sums of outer products",
    "delta": "The delta rule",
    "groups": "Groups and geometry",
    "windows": "Windows and attention",
    "filters": "Bayes filters",
    "cells": "Recurrent cells",
    "controls": "Controls",
}


class Model(NamedTuple):
    """A registered model.

    Attributes:
        layer: the class, or the function, that makes the bare layer.
        block: `(width, key) -> layer`: the published block; the first line of its docstring describes it.
        family: a key of `FAMILIES`.
        tracks: the richest kind of group that one layer follows exactly, with its own encoder: at most
            what its monoid contains.
    """

    layer: Callable[..., Any]
    block: Callable[[int, PRNGKeyArray], AbstractLayer]
    family: str
    tracks: Tracks


NOTHING, ABELIAN, SOLVABLE, ANY = Tracks

# One line a model, by family.
MODELS: dict[str, Model] = {
    "lru": Model(LRU, lru, "elementwise", NOTHING),
    "s6": Model(S6, s6, "elementwise", NOTHING),
    "ffm": Model(FFM, ffm, "elementwise", NOTHING),
    "linear_attention": Model(LinearAttention, linear_attention, "outer", NOTHING),
    "gru": Model(GRU, gru, "cells", ANY),
    "lstm": Model(LSTM, lstm, "cells", ANY),
    "mgu": Model(MGU, mgu, "cells", ANY),
    "elman": Model(Elman, elman, "cells", ANY),
    "mlp": Model(MLP, mlp, "controls", NOTHING),
}
