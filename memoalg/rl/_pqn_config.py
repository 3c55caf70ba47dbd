"""Hyper-parameters of PQN: typed, with units, checked at construction."""

from typing import Literal

import equinox as eqx

from ._config_checks import (
    check_burn_in,
    check_choice,
    check_minibatches,
    check_range,
    check_size,
)


class PQNConfig(eqx.Module):
    """Hyper-parameters of `PQN`.

    Attributes:
        num_envs: Environments stepped side by side.
        num_steps: Steps of each environment per update.
        epochs: Passes over each rollout.
        minibatches: Minibatches per epoch; each holds whole environments, `num_envs / minibatches`.
        learning_rate: RAdam's step size.
        learning_rate_end: What it falls to, linearly over `anneal_frames`.
        anneal_frames: Environment steps over which the learning rate falls; None keeps it constant.
        adam_eps: RAdam's epsilon.
        max_grad_norm: Gradients are scaled down to this global norm.
        discount: Per step, in [0, 1].
        trace_decay: Lambda of the lambda-returns per step, in [0, 1].
        epsilon: Probability of a random action, at first.
        epsilon_end: What it falls to.
        epsilon_frames: Environment steps over which it falls, linearly.
        target_refresh: `"rollout"`: targets are computed once, from the values that acted.
            `"minibatch"`: again for every minibatch, from the parameters of the moment; the value
            behind a truncation stays the one from acting.
        burn_in: Leading steps of a rollout that warm the memory up and are not learned from.

    Raises:
        ValueError: A size is not positive, a fraction is out of range, or `num_envs` is not a
            multiple of `minibatches`.

    Example:
        >>> import memoalg as ma
        >>> ma.rl.PQNConfig(num_envs=16, num_steps=8).frames_per_update
        128
    """

    num_envs: int = 64
    num_steps: int = 128
    epochs: int = 4
    minibatches: int = 16
    learning_rate: float = 1e-3
    learning_rate_end: float = 0.0
    anneal_frames: int | None = None
    adam_eps: float = 1e-5
    max_grad_norm: float = 0.5
    discount: float = 0.99
    trace_decay: float = 0.65
    epsilon: float = 1.0
    epsilon_end: float = 0.02
    epsilon_frames: int = 100_000
    target_refresh: Literal["rollout", "minibatch"] = "rollout"
    burn_in: int = 0

    def __check_init__(self) -> None:
        owner = "PQNConfig"
        for name in ("num_envs", "num_steps", "epochs", "minibatches", "epsilon_frames"):
            check_size(owner, name, getattr(self, name))
        if self.anneal_frames is not None:
            check_size(owner, "anneal_frames", self.anneal_frames)
        for name in ("discount", "trace_decay", "epsilon", "epsilon_end"):
            check_range(owner, name, getattr(self, name), 0.0, 1.0)
        for name in ("learning_rate", "learning_rate_end", "adam_eps", "max_grad_norm"):
            check_range(owner, name, getattr(self, name))
        check_choice(owner, "target_refresh", self.target_refresh, ("rollout", "minibatch"))
        check_burn_in(owner, self.burn_in, self.num_steps)
        check_minibatches(owner, self.num_envs, self.minibatches)

    @property
    def frames_per_update(self) -> int:
        """Environment steps that one update takes: `num_envs * num_steps`."""
        return self.num_envs * self.num_steps
