"""Returns: each a trajectory run from the end. All arrays are (time,); vmap for environments."""

from ._discounted import discounted as discounted
from ._gae import gae as gae
from ._lambda_return import lambda_return as lambda_return
from ._vtrace import vtrace as vtrace
