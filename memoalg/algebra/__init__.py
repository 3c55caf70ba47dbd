"""Monoids, their actions and the combinators that build memories out of them."""

from ._action import AbstractAction as AbstractAction
from ._action import MultiplyAction as MultiplyAction
from ._action import ShiftAction as ShiftAction
from ._action import multiply as multiply
from ._action import shift as shift
from ._add import Add as Add
from ._describe import describe as describe
from ._dual import Dual as Dual
from ._errors import AlgebraTypeError as AlgebraTypeError
from ._fixed import Fixed as Fixed
from ._map import Isomorphism as Isomorphism
from ._map import Map as Map
from ._max import Max as Max
from ._monoid import AbstractCombinator as AbstractCombinator
from ._monoid import AbstractMonoid as AbstractMonoid
from ._monoid import AbstractSemigroup as AbstractSemigroup
from ._monoid import DirectProduct as DirectProduct
from ._multiply import Multiply as Multiply
from ._resettable import Resettable as Resettable
from ._semidirect import Affine as Affine
from ._semidirect import SemidirectProduct as SemidirectProduct
from ._traits import has_embedding as has_embedding
from ._traits import has_identity as has_identity
from ._with_identity import WithIdentity as WithIdentity
