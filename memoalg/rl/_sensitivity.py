"""How far back does a value look? The gradient of the last value in every observation before it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from ._network import AbstractNetwork
from ._picture import new_figure, write_figure
from ._rollout import Rollout
from ._statistics import mean_interval


class Sensitivity(eqx.Module):
    """How much the last value of an episode depends on each observation, by its age.

    Age 0 is the last observation that was acted on. Rows are episodes, each scaled to sum to one;
    beyond an episode's length they are 0.

    Attributes:
        shares: Share of the whole sensitivity that is of this age.
    """

    shares: Float[np.ndarray, "episodes ages"]

    @property
    def older(self) -> Float[np.ndarray, "episodes ages"]:
        """Share of this age and of all that are older: cumulated from the oldest, 1 at age 0."""
        return np.cumsum(self.shares[:, ::-1], axis=1)[:, ::-1]

    def share_beyond(self, age: int) -> float:
        """Mean share of what is older than `age` steps."""
        older = self.older
        return float(older[:, age + 1].mean()) if age + 1 < older.shape[1] else 0.0

    def band(self) -> Float[np.ndarray, "3 ages"]:
        """Mean of `older` over the episodes, and its 95 % bootstrap interval.

        Returns:
            Rows: mean, lower end, upper end.
        """
        return mean_interval(self.older)


def sensitivity(network: AbstractNetwork, trajectory: Rollout) -> Sensitivity:
    r"""The sensitivity of the last value of an episode to the observations before it.

    $$g_i = \sum_f \left| \partial V(o_0 \ldots o_n) / \partial o_{i f} \right|, \qquad
      \text{share}_a = g_{n-a} / \sum_i g_i .$$

    In every environment the last episode counts that began and ended within the trajectory; n is
    its last step. For a `QNetwork` the value is that of the best action. What the memory forgets at
    a start has no gradient: the episode before has exactly none.

    Args:
        network: Any with a memory; for greedy play collect the trajectory with epsilon 0.
        trajectory: From `collect`, long enough for whole episodes.

    Returns:
        One row per environment that had such an episode.

    Raises:
        ValueError: No episode began and ended within the trajectory, or no value depends on any
            observation.

    Source:
        Morad et al. 2024, Recurrent Reinforcement Learning with Memoroids (arXiv 2402.09900),
        figures 3 and 8, from one episode each; here with an interval over many.

    Example:
        >>> import jax
        >>> import memoalg as ma
        >>> from memoalg.rl._rollout import init_rollout
        >>> env, params = ma.envs.make("popgym/RepeatPreviousEasy")
        >>> algo = ma.rl.PPO(env, params, ma.rl.ActorCritic("gru", width=8))
        >>> key = jax.random.key(0)
        >>> network = algo.network(algo.init(key).agent)
        >>> state = init_rollout(network, algo.env, params, 4, key)
        >>> _, trajectory, _ = ma.rl.collect(network, algo.env, params, state, key, 64)
        >>> curve = ma.rl.sensitivity(network, trajectory)
        >>> curve.shares.shape, curve.older[:, 0].tolist()
        ((4, 51), [1.0, 1.0, 1.0, 1.0])
    """
    ended = np.asarray(trajectory.terminated | trajectory.truncated)
    first, last = _last_episodes(np.asarray(trajectory.start[:-1]), ended)
    whole = first >= 0
    if not whole.any():
        raise ValueError(
            f"sensitivity: no episode began and ended within the {ended.shape[0]} steps of the "
            "trajectory; collect(...) more steps."
        )
    slopes = np.asarray(_slopes(network, trajectory, jnp.asarray(np.maximum(last, 0))), np.float64)
    rows = [slopes[a : n + 1, e][::-1] for e, (a, n) in enumerate(zip(first, last, strict=True))]
    return _from_rows([row for row, counts in zip(rows, whole, strict=True) if counts])


def pooled(curves: Sequence[Sensitivity]) -> Sensitivity:
    """All episodes of several seeds; those of each seed are averaged, so that rows are seeds.

    Args:
        curves: Of as many trained agents, at least 1.

    Returns:
        One row per seed: its band is an interval over seeds.
    """
    longest = max(curve.shares.shape[1] for curve in curves)
    rows = [curve.shares.mean(axis=0) for curve in curves]
    return Sensitivity(np.stack([np.pad(row, (0, longest - row.size)) for row in rows]))


def plot_sensitivity(
    curves: Mapping[str, Sensitivity | Sequence[Sensitivity]],
    path: str | os.PathLike[str],
    *,
    needed: int | None = None,
) -> Path:
    """Draws the share of the sensitivity that is of an age and older, one curve per label.

    Args:
        curves: By label: of one agent (the band is over episodes) or of several seeds (over seeds).
        path: Of the picture; the ending says the format.
        needed: Age beyond which the task has nothing to remember; a dashed line.

    Returns:
        Where the picture is.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    figure = new_figure()
    axes = figure.add_subplot()
    for i, (label, several) in enumerate(curves.items()):
        curve = several if isinstance(several, Sensitivity) else pooled(several)
        mean, low, high = curve.band()
        ages = -np.arange(mean.size)
        axes.plot(ages, mean, color=f"C{i % 10}", label=label)
        axes.fill_between(ages, low, high, color=f"C{i % 10}", alpha=0.2, linewidth=0)
    if needed is not None:
        axes.axvline(-needed, color="black", linestyle="--", linewidth=1)
    axes.set_xlabel("age of the observation, steps")
    axes.set_ylabel("share of the value's sensitivity, from the oldest")
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize="small")
    return write_figure(figure, Path(path))


def _last_episodes(start: np.ndarray, ended: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last step of each environment's last whole episode; -1 where there is none."""
    num_envs = start.shape[1]
    first, last = np.full(num_envs, -1), np.full(num_envs, -1)
    for e in range(num_envs):
        for n in np.flatnonzero(ended[:, e])[::-1]:
            begun = np.flatnonzero(start[: n + 1, e])
            if begun.size:
                first[e], last[e] = begun[-1], n
                break
    return first, last


@eqx.filter_jit
def _slopes(network: Any, trajectory: Rollout, last: Int[Array, " E"]) -> Float[Array, "T E"]:
    def chosen(observations: Float[Array, "T E F"]) -> Float[Array, ""]:
        return _value_at(network, trajectory.carry, observations, trajectory.start[:-1], last)

    gradient = jax.grad(chosen)(trajectory.observations[:-1])
    return jnp.sum(jnp.abs(gradient), axis=-1)


def _value_at(
    network: AbstractNetwork,
    carry: PyTree[Array],
    observations: Float[Array, "T E F"],
    start: Bool[Array, "T E"],
    last: Int[Array, " E"],
) -> Float[Array, ""]:
    # Environments do not meet: the gradient of the sum is the gradient of each.
    _, _, values = network(carry, observations, start)
    return jnp.sum(jnp.take_along_axis(values, last[None], axis=0))


def _from_rows(rows: list[np.ndarray]) -> Sensitivity:
    """Rows by age, scaled and padded. One without any sensitivity says nothing and is left out."""
    known = [row / row.sum() for row in rows if row.sum() > 0]
    if not known:
        raise ValueError(
            "sensitivity: no value depends on any observation; train the network first, or look for "
            "units that are all zero."
        )
    longest = max(row.size for row in known)
    return Sensitivity(np.stack([np.pad(row, (0, longest - row.size)) for row in known]))
