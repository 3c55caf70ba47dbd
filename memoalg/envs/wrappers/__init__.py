"""Environments around environments; from the inside: PreviousAction, EpisodeStart, Flatten."""

from ._episode_start import EpisodeStart as EpisodeStart
from ._flatten import Flatten as Flatten
from ._previous_action import PreviousAction as PreviousAction
from ._wrapper import AbstractWrapper as AbstractWrapper
