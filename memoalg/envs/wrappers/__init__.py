"""Environments around environments; `ORDER` names them from the inside to the outside."""

from ._discrete_action import DiscreteAction as DiscreteAction
from ._episode_start import EpisodeStart as EpisodeStart
from ._episode_statistics import EpisodeStatistics as EpisodeStatistics
from ._episode_statistics import Totals as Totals
from ._flatten import Flatten as Flatten
from ._markovian import Markovian as Markovian
from ._mask import Mask as Mask
from ._mask import positions_only as positions_only
from ._mask import velocities_only as velocities_only
from ._normalise import AbstractNormaliser as AbstractNormaliser
from ._normalise import Gathered as Gathered
from ._normalise import MomentsMonoid as MomentsMonoid
from ._normalise import Normalised as Normalised
from ._normalise import absorb as absorb
from ._normalise_observation import NormaliseObservation as NormaliseObservation
from ._normalise_reward import NormaliseReward as NormaliseReward
from ._observation_noise import ObservationNoise as ObservationNoise
from ._order import ORDER as ORDER
from ._previous_action import PreviousAction as PreviousAction
from ._sticky_action import LastAction as LastAction
from ._sticky_action import StickyAction as StickyAction
from ._time_limit import TimeLimit as TimeLimit
from ._wrapper import AbstractEpisodeWrapper as AbstractEpisodeWrapper
from ._wrapper import AbstractObservationWrapper as AbstractObservationWrapper
from ._wrapper import AbstractWrapper as AbstractWrapper
from ._wrapper import Wrapped as Wrapped
