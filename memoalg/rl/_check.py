"""Does what is learned match what was done? Diagnosis of an algorithm, a memory, an environment."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, PRNGKeyArray

from ._algorithm import AbstractAlgorithm, typed_key
from ._alignment import alignment_error, largest, learning_at_once, with_counting
from ._contiguity import contiguity
from ._minibatch import take_environments
from ._probes import NetworkErrors, carry_difference, network_errors
from ._state import TrainState

_LOUD = 100.0  # policy heads begin at a hundredth of the others: a fault would be a whisper


@dataclasses.dataclass(frozen=True)
class Probe:
    """One line of a report.

    Attributes:
        name: Of the probe.
        error: Ought to be 0; NaN where nothing was to be seen.
        allowed: By how much rounding may move it.
        means: What the number is.
        cause: What is likely wrong where it is larger.
    """

    name: str
    error: float
    allowed: float
    means: str
    cause: str

    @property
    def ok(self) -> bool:
        """Whether the error is within what is allowed; a probe that saw nothing is."""
        return not self.error > self.allowed


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """What `check` found; printed, it is a table.

    Attributes:
        probes: In the order in which they ran.
        metrics: Of the updates that ran, stacked.
    """

    probes: tuple[Probe, ...]
    metrics: Any = dataclasses.field(repr=False)

    def __str__(self) -> str:
        rows = [f"{'probe':12} {'error':>9} {'allowed':>9}"]
        for probe in self.probes:
            verdict = "ok  " if probe.ok else "FAIL"
            if probe.error != probe.error:
                verdict = "-   "
            rows.append(
                f"{probe.name:12} {probe.error:9.1e} {probe.allowed:9.1e}  {verdict}  {probe.means}"
            )
        return "\n".join(rows)


def check(
    algo: AbstractAlgorithm, key: PRNGKeyArray, *, updates: int = 3, tolerance: float = 1e-4
) -> CheckReport:
    """Play and learn a little, and raise where a memory, a reset or a batch is not what it should be.

    Seven probes, each of which sees faults that no learning curve shows:

    - `carry`: `init_carry`, `step` and the sequence call agree in structure, shape, dtype and weak
      type of the carry. A carry that changes is compiled again, or refused by a loop.
    - `step`: on real observations the sequence call gives the outputs and the carry of the steps.
    - `replay`: a second rollout, which begins in the middle of episodes, is recomputed from its
      record: the policies and values are those that acted.
    - `forgetting`: nothing before a start, neither other numbers nor NaN, changes one bit of what
      comes after, in a sequence and in steps.
    - `alignment`: the whole algorithm runs with a memory that counts the episode's steps in an
      environment that shows their number. Wherever the network runs (acting, learning, the values
      behind a truncation) the two are equal.
    - `minibatches`: `contiguity` of the library's split.
    - `learning`: losses, gradient norms and parameters of a few updates are finite, and before the
      first gradient step the policy, or the values, are those that acted.

    Args:
        algo: With one's own memory, environment or both. A probe that has nothing to look at shows
            `-`: `alignment` where the agent has no field `memory` or no metric is named like a
            loss, the first gradient step where no metric's name begins with `first_`.
        key: Random key.
        updates: How many to run; the first begins with fresh memories, so at least 2.
        tolerance: What `step`, `replay` and `learning` allow for rounding.

    Returns:
        The report.

    Raises:
        RuntimeError: A probe fails; the message names it and the likely cause.

    Example:
        >>> import jax
        >>> import memoalg as ma
        >>> env, params = ma.envs.make("popgym/RepeatPreviousEasy")
        >>> config = ma.rl.PPOConfig(num_envs=4, num_steps=8)
        >>> algo = ma.rl.PPO(env, params, ma.rl.ActorCritic("gru", width=8), config)
        >>> report = ma.rl.check(algo, jax.random.key(0), updates=2)
        >>> [probe.name for probe in report.probes]
        ['carry', 'step', 'replay', 'forgetting', 'alignment', 'minibatches', 'learning']
    """
    play_key, align_key, learn_key = jax.random.split(typed_key(key), 3)
    probes = [_carry_probe(algo)]
    steps = max(8, min(algo.frames_per_update // algo.config.num_envs, 64))
    _raise_at_first_failure(probes)
    probes += _network_probes(algo, play_key, steps, tolerance)
    _raise_at_first_failure(probes)
    probes += [_alignment_probe(algo, align_key, updates), _minibatch_probe()]
    _raise_at_first_failure(probes)
    probe, metrics = _learning_probe(algo, learn_key, updates, tolerance)
    probes.append(probe)
    _raise_at_first_failure(probes)
    return CheckReport(tuple(probes), metrics)


def _raise_at_first_failure(probes: list[Probe]) -> None:
    for probe in probes:
        if not probe.ok:
            raise RuntimeError(
                f"check: the probe '{probe.name}' fails: {probe.means} is {probe.error:.2g}, "
                f"allowed is {probe.allowed:.0e}. {probe.cause}\n{CheckReport(tuple(probes), None)}"
            )


def _carry_probe(algo: AbstractAlgorithm) -> Probe:
    found = carry_difference(_shown_network(algo), _features(algo))
    return Probe(
        "carry",
        0.0 if found is None else 1.0,
        0.0,
        "a carry that changes its type",
        f"{found}. Give every array a dtype where it is made (jnp.zeros(n, x.dtype), not 0.0), and "
        "return from `step` and from the sequence call what `init_carry` gives.",
    )


def _shown_network(algo: AbstractAlgorithm) -> Any:
    state = eqx.filter_eval_shape(algo.init, jax.random.key(0))
    zeros = jax.tree.map(_zeros, state)
    return algo.actor(zeros.agent, zeros.shared)


def _zeros(leaf: jax.ShapeDtypeStruct) -> Array:
    typed = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key(0) if typed else jnp.zeros(leaf.shape, leaf.dtype)


def _features(algo: AbstractAlgorithm) -> int:
    return algo.env.observation_space(algo.params).flat_size  # pyright: ignore


def _network_probes(
    algo: AbstractAlgorithm, key: PRNGKeyArray, steps: int, tolerance: float
) -> list[Probe]:
    found = jax.device_get(eqx.filter_jit(_errors_of_fresh)(algo, key, steps))
    return [
        Probe(
            "step",
            float(found.step),
            tolerance,
            "relative difference of steps and a sequence",
            "The memory's `step` and its sequence call compute different things, or reset at "
            "different places: where `start` is true the memory is fresh *before* that input.",
        ),
        Probe(
            "replay",
            float(found.replay),
            tolerance,
            "change of the policy or value that acted",
            "What acted is not what is replayed: the memory's step and sequence call disagree, or "
            "the network is not a function of carry, observation and start alone.",
        ),
        Probe(
            "forgetting",
            float(found.leak),
            0.0,
            "change behind a start by what came before",
            "The memory does not forget at a start: choose by jnp.where(start, fresh, carry), not "
            "by a product, which lets NaN through, and reset every part of the carry.",
        ),
    ]


def _errors_of_fresh(algo: AbstractAlgorithm, key: PRNGKeyArray, steps: int) -> NetworkErrors:
    init_key, play_key = jax.random.split(key)
    state = loud(algo.init(init_key))
    network, params = algo.actor(state.agent, state.shared), algo.env_params(state.agent)
    return network_errors(network, algo.env, params, play_key, steps)


def loud(state: TrainState) -> TrainState:
    """The state with policy heads as large as all others, so that actions depend on the memory."""

    def raised(path: jtu.KeyPath, leaf: Any) -> Any:
        name = jtu.keystr(path)
        ours = name.startswith((".agent.params", ".agent.target"))
        head = name.endswith((".policy.weight", ".advantage.weight"))
        return leaf * jnp.asarray(_LOUD, leaf.dtype) if ours and head else leaf

    return jtu.tree_map_with_path(raised, state)


def _alignment_probe(algo: AbstractAlgorithm, key: PRNGKeyArray, updates: int) -> Probe:
    counting = with_counting(algo, algo.frames_per_update // algo.config.num_envs)
    return Probe(
        "alignment",
        float("nan") if counting is None else alignment_error(counting, key, updates),
        1e-6,
        "loss with a memory that counts, in alarms",
        "The count of an episode's steps is not their number somewhere: a start flag one step off or "
        "missing, a carry stored after the step or kept from an earlier update, a minibatch whose "
        "steps or carries are of other environments, or a final observation valued with a fresh "
        "memory.",
    )


def _minibatch_probe() -> Probe:
    return Probe(
        "minibatches",
        float(contiguity(take_environments)),
        0.0,
        "steps that do not follow each other",
        "A batch (T, E) was reshaped instead of indexed along E.",
    )


def _learning_probe(
    algo: AbstractAlgorithm, key: PRNGKeyArray, updates: int, tolerance: float
) -> tuple[Probe, Any]:
    state, metrics = eqx.filter_jit(_learned)(learning_at_once(algo), key, updates)
    whole = all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in _real(state.agent))
    finite = whole and largest(metrics, ("loss", "norm")) != float("inf")
    first = largest(metrics, ("first_",))
    probe = Probe(
        "learning",
        first if finite else float("inf"),
        tolerance,
        "change before the first gradient step",
        "A loss, a gradient or a parameter is not finite."
        if not finite
        else "The batch that is learned from is not the rollout that was played.",
    )
    return probe, metrics


def _learned(algo: AbstractAlgorithm, key: PRNGKeyArray, updates: int) -> tuple[TrainState, Any]:
    def body(state: TrainState, _: None) -> tuple[TrainState, Any]:
        return algo.update(state)

    return jax.lax.scan(body, loud(algo.init(key)), length=updates)


def _real(agent: Any) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(agent.params) if eqx.is_inexact_array(leaf)]
