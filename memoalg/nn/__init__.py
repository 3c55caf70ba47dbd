"""Sequence layers: memoroids, recurrent cells, their composition, and the named models."""

from ._cell import AbstractCell as AbstractCell
from ._cell import Recurrent as Recurrent
from ._compose import Parallel as Parallel
from ._compose import Residual as Residual
from ._compose import Serial as Serial
from ._elman import Elman as Elman
from ._feed_forward import MLP as MLP
from ._feed_forward import Pointwise as Pointwise
from ._ffm import FFM as FFM
from ._gru import GRU as GRU
from ._layer import AbstractLayer as AbstractLayer
from ._linear import Linear as Linear
from ._linear_attention import LinearAttention as LinearAttention
from ._linear_attention import NormalisedOuterSum as NormalisedOuterSum
from ._lru import LRU as LRU
from ._lstm import LSTM as LSTM
from ._memoroid import AbstractMemoroid as AbstractMemoroid
from ._memoroid import Memoroid as Memoroid
from ._minimal_gated import MGU as MGU
from ._position import PositionalEncoding as PositionalEncoding
from ._recurrent import AbstractRecurrent as AbstractRecurrent
from ._registry import describe_model as describe_model
from ._registry import make as make
from ._registry import names as names
from ._s6 import S6 as S6
