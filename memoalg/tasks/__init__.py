"""Synthetic sequences that ask for one thing of a memory each, and supervised training on them."""

from ._adding import Adding as Adding
from ._associative_recall import AssociativeRecall as AssociativeRecall
from ._config import FitConfig as FitConfig
from ._copy import Copy as Copy
from ._delayed_match import DelayedMatch as DelayedMatch
from ._evaluate import Evaluation as Evaluation
from ._evaluate import evaluate as evaluate
from ._modular_counting import ModularCounting as ModularCounting
from ._packed import Packed as Packed
from ._parity import Parity as Parity
from ._registry import make as make
from ._registry import names as names
from ._selective_copy import SelectiveCopy as SelectiveCopy
from ._symbols import AbstractSymbolTask as AbstractSymbolTask
from ._task import AbstractTask as AbstractTask
from ._task import Example as Example
from ._train import Fitted as Fitted
from ._train import fit as fit
