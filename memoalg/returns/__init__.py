"""Returns: each a trajectory run from the end. All arrays are (time,); vmap for environments."""

from ._discounted import discounted as discounted
from ._gae import gae as gae
