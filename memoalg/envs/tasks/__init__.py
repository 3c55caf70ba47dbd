"""POPGym's tasks, written anew in JAX: one file a family."""

from ._dealer import AbstractDealer as AbstractDealer
from ._dealer import LazyDealer as LazyDealer
from ._position_only_cart_pole import CartPoleParams as CartPoleParams
from ._position_only_cart_pole import CartPoleState as CartPoleState
from ._position_only_cart_pole import PositionOnlyCartPole as PositionOnlyCartPole
from ._repeat_first import RepeatFirst as RepeatFirst
from ._repeat_first import RepeatFirstParams as RepeatFirstParams
from ._repeat_first import RepeatFirstState as RepeatFirstState
from ._repeat_previous import RepeatPrevious as RepeatPrevious
from ._repeat_previous import RepeatPreviousParams as RepeatPreviousParams
from ._repeat_previous import RepeatPreviousState as RepeatPreviousState
