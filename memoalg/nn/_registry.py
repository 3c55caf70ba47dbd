"""Every model by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import PRNGKeyArray

from ..algebra import Tracks
from ._layer import AbstractLayer
from .models._attention import Attention, attention
from .models._automaton import Automaton, automaton
from .models._convolution import Convolution, convolution
from .models._decayed_max import DecayedMax, decayed_max
from .models._delta_product import DeltaProduct, delta_product
from .models._deltanet import DeltaNet, deltanet
from .models._elman import Elman, elman
from .models._fast_weights import FastWeights, fast_weights
from .models._ffm import FFM, ffm
from .models._frame_stack import FrameStack, frame_stack
from .models._gated_deltanet import GatedDeltaNet, gated_deltanet
from .models._gla import GLA, gla
from .models._gru import GRU, gru
from .models._hgrn import HGRN, hgrn
from .models._hgrn2 import HGRN2, hgrn2
from .models._hmm import HMM, hmm
from .models._ind_rnn import IndRNN, ind_rnn
from .models._kalman import KalmanFilter, kalman
from .models._linear_attention import LinearAttention, linear_attention
from .models._linear_rnn import LinearRNN, linear_rnn
from .models._log_sum_exp import DecayedLogSumExp, log_sum_exp
from .models._lru import LRU, lru
from .models._lstm import LSTM, lstm
from .models._mamba2 import Mamba2, mamba2
from .models._mgu import MGU, mgu
from .models._min_gru import MinGRU, min_gru
from .models._min_lstm import MinLSTM, min_lstm
from .models._mlp import MLP, mlp
from .models._mlstm import MLSTM, mlstm
from .models._oracle_window import OracleWindow, oracle_window
from .models._qrnn import QRNN, qrnn
from .models._retnet import RetNet, retnet
from .models._rg_lru import RGLRU, rg_lru
from .models._rotation_rnn import RotationRNN, rotation_rnn
from .models._rtu import RTU, rtu
from .models._rtu_nonlinear import NonlinearRTU, rtu_nonlinear
from .models._rwkv6 import RWKV6, rwkv6
from .models._rwkv7 import RWKV7, rwkv7
from .models._s4d import S4D, s4d
from .models._s5 import S5, s5
from .models._s6 import S6, s6
from .models._slstm import SLSTM, slstm
from .models._spherical import Spherical, spherical
from .models._sru import SRU, sru
from .models._ttt_linear import TTTLinear, ttt_linear

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
"""The families of models, in their order, with titles."""


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

MODELS: dict[str, Model] = {
    "lru": Model(LRU, lru, "elementwise", NOTHING),
    "s5": Model(S5, s5, "elementwise", NOTHING),
    "s4d": Model(S4D, s4d, "elementwise", NOTHING),
    "rtu": Model(RTU, rtu, "elementwise", NOTHING),
    "rtu_nonlinear": Model(NonlinearRTU, rtu_nonlinear, "elementwise", NOTHING),
    "ffm": Model(FFM, ffm, "elementwise", NOTHING),
    "min_gru": Model(MinGRU, min_gru, "elementwise", NOTHING),
    "min_lstm": Model(MinLSTM, min_lstm, "elementwise", NOTHING),
    "rg_lru": Model(RGLRU, rg_lru, "elementwise", NOTHING),
    "hgrn": Model(HGRN, hgrn, "elementwise", NOTHING),
    "qrnn": Model(QRNN, qrnn, "elementwise", NOTHING),
    "sru": Model(SRU, sru, "elementwise", NOTHING),
    "s6": Model(S6, s6, "elementwise", NOTHING),
    "decayed_max": Model(DecayedMax, decayed_max, "elementwise", NOTHING),
    "log_sum_exp": Model(DecayedLogSumExp, log_sum_exp, "elementwise", NOTHING),
    "linear_rnn": Model(LinearRNN, linear_rnn, "elementwise", NOTHING),
    "ind_rnn": Model(IndRNN, ind_rnn, "elementwise", NOTHING),
    "linear_attention": Model(LinearAttention, linear_attention, "outer", NOTHING),
    "fast_weights": Model(FastWeights, fast_weights, "outer", NOTHING),
    "retnet": Model(RetNet, retnet, "outer", NOTHING),
    "gla": Model(GLA, gla, "outer", NOTHING),
    "mamba2": Model(Mamba2, mamba2, "outer", NOTHING),
    "hgrn2": Model(HGRN2, hgrn2, "outer", NOTHING),
    "mlstm": Model(MLSTM, mlstm, "outer", NOTHING),
    "rwkv6": Model(RWKV6, rwkv6, "outer", NOTHING),
    "deltanet": Model(DeltaNet, deltanet, "delta", NOTHING),
    "gated_deltanet": Model(GatedDeltaNet, gated_deltanet, "delta", NOTHING),
    "delta_product": Model(DeltaProduct, delta_product, "delta", ANY),
    "rwkv7": Model(RWKV7, rwkv7, "delta", NOTHING),
    "ttt_linear": Model(TTTLinear, ttt_linear, "delta", ABELIAN),
    "rotation_rnn": Model(RotationRNN, rotation_rnn, "groups", ANY),
    "spherical": Model(Spherical, spherical, "groups", ANY),
    "automaton": Model(Automaton, automaton, "groups", ANY),
    "frame_stack": Model(FrameStack, frame_stack, "windows", NOTHING),
    "attention": Model(Attention, attention, "windows", NOTHING),
    "convolution": Model(Convolution, convolution, "windows", NOTHING),
    "hmm": Model(HMM, hmm, "filters", ANY),
    "kalman": Model(KalmanFilter, kalman, "filters", NOTHING),
    "gru": Model(GRU, gru, "cells", ANY),
    "lstm": Model(LSTM, lstm, "cells", ANY),
    "slstm": Model(SLSTM, slstm, "cells", ANY),
    "mgu": Model(MGU, mgu, "cells", ANY),
    "elman": Model(Elman, elman, "cells", ANY),
    "mlp": Model(MLP, mlp, "controls", NOTHING),
    "oracle_window": Model(OracleWindow, oracle_window, "controls", NOTHING),
}
"""name -> the model. One line each, by family."""
