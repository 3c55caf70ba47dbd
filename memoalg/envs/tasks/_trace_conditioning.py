"""Blink when a stimulus of some steps ago says that the puff is due."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete, MultiDiscrete
from ._levels import level_name
from ._trace_conditioning_picture import draw_stimuli

CS_LENGTH, US_LENGTH, DISTRACTOR_LENGTH = 4, 2, 4
MIN_GAP, MAX_GAP = 80, 120
BLINK_COST = 0.02
# Blinking through the whole range of intervals pays while the cost is at most 1 / (2 jitter).
MAX_JITTER = 25


class TraceConditioningParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        shortest: int32, the shortest time from the CS's onset to the US's, more than 4.
        longest: int32, the longest.
        trials: int32, how many pairs of CS and US an episode has.
        rates: float, for each distractor the probability that it begins at a step where it is off.
    """

    shortest: Int[Array, ""]
    longest: Int[Array, ""]
    trials: Int[Array, ""]
    rates: Float[Array, " distractors"]


class TraceConditioningState(eqx.Module):
    """What is carried.

    Args:
        clock: int32, steps since the CS's onset, negative before it.
        interval: int32, steps from the CS's onset to the US's in this trial.
        trial: int32, how many trials are over.
        left: int32, for how many observations, this one included, each distractor stays on.
    """

    clock: Int[Array, ""]
    interval: Int[Array, ""]
    trial: Int[Array, ""]
    left: Int[Array, " distractors"]


class TraceConditioning(AbstractEnvironment[TraceConditioningState, TraceConditioningParams]):
    r"""Close the eye just before the puff that a tone announced some steps ago.

    The dial `interval` is the time that must be measured in silence: between the tone's end and the
    puff nothing distinguishes one step from the next, so the memory must not only keep that there
    was a tone but count. The second dial, `distractors`, is how many irrelevant signals come and go
    meanwhile. Many short trials make one episode: it is a test of a memory that works continually.

    A trial is a gap of $g \sim U\{80, \dots, 120\}$ blank steps, then the conditioned stimulus (CS)
    for 4 steps, and the unconditioned stimulus (US) for 2 steps from $i$ steps after the CS's
    *onset*, with $i \sim U\{I - J, \dots, I + J\}$, $I$ = `interval`, $J$ = `jitter`; $I - J > 4$
    leaves a trace interval, in which both are off. The observation is (CS, US, distractors), each 0
    or 1. Distractor $j = 0, 1, \dots$ begins with probability $1/(10 (j + 1))$ at a step where it is
    off and stays on for 4 steps; all are off at first.

    The animal's response is the action: 1 closes the eye, 0 leaves it open, for one step. Over $K$ =
    `trials` trials, a closed eye at the US's onset (the action that answers the observation just
    before it) rewards $1/K$, a closed eye at any other step $-c/K$ with $c = 0.02$, an open eye 0.
    Terminates at the end of the last US, after $\sum (g + i + 2)$ steps.

    Returns: the best policy closes the eye from the first step at which the US may come until it
    does: $1 - cJ$ in the mean (0.94; 1 for a clairvoyant). Random: $(1 - c (100 + I + 1))/2$. No
    blink is the best memoryless policy, 0: a blank step is followed by the US once in 100 times.

    Args:
        interval: I, jitter + 5 to 10,000. Easy, Medium, Hard: 10, 20, 40.
        distractors: 0 to 1000. Easy, Medium, Hard: 0, 5, 10.
        jitter: J, 0 to 25.
        trials: K, 1 to 100,000.

    Raises:
        ValueError: an argument is out of range.

    Source:
        Rafiee et al., From Eye-blinks to State Construction: Diagnostic Benchmarks for Online
        Representation Learning (Adaptive Behavior, 2022). There the US is predicted; the action and
        its rewards, which make a control task of it, are this package's.

    Example:
        >>> import jax
        >>> from memoalg.envs import TraceConditioning
        >>> env = TraceConditioning(interval=20, distractors=5)
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.tolist(), -120 <= int(state.clock) <= -80
        ([0, 0, 0, 0, 0, 0, 0], True)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((10, 0), (20, 5), (40, 10))

    interval: int = eqx.field(static=True, default=10)
    distractors: int = eqx.field(static=True, default=0)
    jitter: int = eqx.field(static=True, default=3)
    trials: int = eqx.field(static=True, default=10)

    def __check_init__(self):
        jitter = int_in_range(self.jitter, "TraceConditioning(jitter=...)", 0, MAX_JITTER)
        shortest = jitter + CS_LENGTH + 1
        int_in_range(self.interval, "TraceConditioning(interval=...)", shortest, 10_000)
        int_in_range(self.distractors, "TraceConditioning(distractors=...)", 0, 1000)
        int_in_range(self.trials, "TraceConditioning(trials=...)", 1, 100_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.interval, self.distractors, self.jitter, self.trials)
        arguments = arguments[:2] if arguments[2:] == (3, 10) else arguments
        return level_name("TraceConditioning", arguments, self.levels, "memory")

    def default_params(self) -> TraceConditioningParams:
        """The constructor's numbers."""
        shortest, longest = self.interval - self.jitter, self.interval + self.jitter
        return TraceConditioningParams(
            shortest=jnp.asarray(shortest, jnp.int32),
            longest=jnp.asarray(longest, jnp.int32),
            trials=jnp.asarray(self.trials, jnp.int32),
            rates=jnp.asarray(1 / (10 * np.arange(1, self.distractors + 1)), float),
        )

    def reset(
        self, key: PRNGKeyArray, params: TraceConditioningParams
    ) -> tuple[Int[Array, " signals"], TraceConditioningState]:
        """Begin in a gap, with all signals off."""
        clock, interval = _trial(jax.random.uniform(key, (2,), jnp.float32), params)
        none = jnp.zeros((self.distractors,), jnp.int32)
        state = TraceConditioningState(clock, interval, jnp.zeros((), jnp.int32), none)
        return _observe(state), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: TraceConditioningState,
        action: Int[Array, ""],
        params: TraceConditioningParams,
    ) -> Transition[TraceConditioningState]:
        """Reward a blink, then let the clock and the distractors run."""
        action = discrete_action(action, "TraceConditioning")
        puff = state.clock + 1 == state.interval
        worth = jnp.where(puff, 1.0, -BLINK_COST).astype(float) / params.trials.astype(float)
        reward = jnp.where(action == 1, worth, 0.0)
        uniforms = jax.random.uniform(key, (2 + self.distractors,), jnp.float32)
        begins = uniforms[2:] < params.rates.astype(jnp.float32)
        fresh = jnp.where(begins, DISTRACTOR_LENGTH, 0).astype(jnp.int32)
        left = jnp.where(state.left > 0, state.left - 1, fresh)
        over = state.clock + 1 == state.interval + US_LENGTH
        trial = jnp.where(over, state.trial + 1, state.trial)
        clock, interval = _trial(uniforms[:2], params)
        clock = jnp.where(over, clock, state.clock + 1)
        interval = jnp.where(over, interval, state.interval)
        state = TraceConditioningState(clock, interval, trial, left)
        return _observe(state), state, reward, trial >= params.trials, jnp.zeros((), bool)

    def observation_space(self, params: TraceConditioningParams) -> MultiDiscrete:
        """CS, US and the distractors, each 0 or 1."""
        return MultiDiscrete((2,) * (2 + self.distractors))

    def action_space(self, params: TraceConditioningParams) -> Discrete:
        """0: the eye is open, 1: closed."""
        return Discrete(2)

    def oracle(
        self, state: TraceConditioningState, params: TraceConditioningParams
    ) -> Int[Array, ""]:
        """Closed from when the US may come until it does: the best that a perfect memory can do.

        Of the hidden interval it uses only that it is not over yet, which an agent sees.
        """
        following = state.clock + 1
        return ((following >= params.shortest) & (following <= state.interval)).astype(jnp.int32)

    def render(self, state: TraceConditioningState) -> UInt8[np.ndarray, "height width 3"]:
        """A lamp for every signal, and the time since the CS."""
        signals = np.asarray(_observe(state))
        return draw_stimuli(signals, int(state.clock), int(state.interval))


def _trial(
    uniforms: Float[Array, " 2"], params: TraceConditioningParams
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The clock at a trial's start (minus the gap) and the trial's interval."""
    gap = MIN_GAP + (uniforms[0] * (MAX_GAP - MIN_GAP + 1)).astype(jnp.int32)
    choices = params.longest - params.shortest + 1
    interval = (uniforms[1] * choices.astype(jnp.float32)).astype(jnp.int32)
    return -gap, params.shortest + interval


def _observe(state: TraceConditioningState) -> Int[Array, " signals"]:
    tone = (state.clock >= 0) & (state.clock < CS_LENGTH)
    puff = (state.clock >= state.interval) & (state.clock < state.interval + US_LENGTH)
    return jnp.concatenate([tone[None], puff[None], state.left > 0]).astype(jnp.int32)
