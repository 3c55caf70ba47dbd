"""memoalg: a memory model is an algebra.

Declare a monoid (or compose one), say how an input becomes an element and how a state is read, and
get a sequence layer that runs as a parallel scan, step by step online, and is correct across episode
boundaries. On top: reinforcement learning, jitted end to end.
"""

import importlib
from types import ModuleType

from .algebra import AbstractAction as AbstractAction
from .algebra import AbstractCombinator as AbstractCombinator
from .algebra import AbstractMonoid as AbstractMonoid
from .algebra import AbstractSemigroup as AbstractSemigroup
from .algebra import Add as Add
from .algebra import Affine as Affine
from .algebra import AlgebraTypeError as AlgebraTypeError
from .algebra import All as All
from .algebra import Any as Any
from .algebra import ArgMax as ArgMax
from .algebra import ClippedAffine as ClippedAffine
from .algebra import Count as Count
from .algebra import DeltaRule as DeltaRule
from .algebra import DirectProduct as DirectProduct
from .algebra import Dual as Dual
from .algebra import First as First
from .algebra import Fixed as Fixed
from .algebra import GatedOuter as GatedOuter
from .algebra import GeneralisedDelta as GeneralisedDelta
from .algebra import HiddenMarkov as HiddenMarkov
from .algebra import Homomorphism as Homomorphism
from .algebra import Isomorphism as Isomorphism
from .algebra import Kalman as Kalman
from .algebra import Last as Last
from .algebra import LogAffine as LogAffine
from .algebra import LogMatMul as LogMatMul
from .algebra import LogSumExp as LogSumExp
from .algebra import Map as Map
from .algebra import Markov as Markov
from .algebra import MatMul as MatMul
from .algebra import MatrixAffine as MatrixAffine
from .algebra import Max as Max
from .algebra import MaxPlus as MaxPlus
from .algebra import Min as Min
from .algebra import Moments as Moments
from .algebra import MomentsRead as MomentsRead
from .algebra import Multiply as Multiply
from .algebra import Permutation as Permutation
from .algebra import Power as Power
from .algebra import Recent as Recent
from .algebra import Regular as Regular
from .algebra import Resettable as Resettable
from .algebra import Rewriting as Rewriting
from .algebra import Rotation as Rotation
from .algebra import SemidirectProduct as SemidirectProduct
from .algebra import Sphere as Sphere
from .algebra import StabilisedOuter as StabilisedOuter
from .algebra import Tangent as Tangent
from .algebra import Tracks as Tracks
from .algebra import Unit as Unit
from .algebra import Window as Window
from .algebra import WithIdentity as WithIdentity
from .algebra import has_embedding as has_embedding
from .algebra import has_identity as has_identity
from .algebra import has_zero as has_zero
from .algebra import inverse as inverse
from .algebra import is_commutative as is_commutative
from .algebra import is_elementwise as is_elementwise
from .algebra import is_idempotent as is_idempotent
from .algebra import is_invertible as is_invertible
from .algebra import kalman_element as kalman_element
from .algebra import matmul as matmul
from .algebra import matvec as matvec
from .algebra import multiply as multiply
from .algebra import shift as shift
from .algebra import simplify as simplify
from .algebra import tracks as tracks
from .algebra import zero as zero
from .scans import AbstractMethod as AbstractMethod
from .scans import Associative as Associative
from .scans import Auto as Auto
from .scans import Chunked as Chunked
from .scans import Explanation as Explanation
from .scans import Gather as Gather
from .scans import Kernel as Kernel
from .scans import Newton as Newton
from .scans import NewtonInfo as NewtonInfo
from .scans import Plan as Plan
from .scans import Sequential as Sequential
from .scans import Sharded as Sharded
from .scans import exclusive_scan as exclusive_scan
from .scans import explain as explain
from .scans import fold as fold
from .scans import last_state as last_state
from .scans import plan as plan
from .scans import scan as scan
from .scans import trajectory as trajectory

from . import nn as nn  # isort: skip
from . import returns as returns  # isort: skip


def __getattr__(name: str) -> ModuleType:
    """`envs`, `rl`, `tasks` and `laws` are imported on first use: they are not needed for layers."""
    if name in ("envs", "rl", "tasks", "laws"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
