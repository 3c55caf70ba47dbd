"""Sets of values: what an environment may show, and what an agent may do."""

from ._box import Box as Box
from ._dict import Dict as Dict
from ._discrete import Discrete as Discrete
from ._multi_discrete import MultiDiscrete as MultiDiscrete
from ._space import AbstractSpace as AbstractSpace
from ._tuple import Tuple as Tuple
