"""Hyper-parameters of PPO: typed, with units, checked at construction."""

from typing import Literal

import equinox as eqx

from ._config_checks import (
    check_burn_in,
    check_choice,
    check_minibatches,
    check_range,
    check_size,
)


class PPOConfig(eqx.Module):
    """Hyper-parameters of `PPO`.

    The learning rate and the decay of the advantages were chosen on POPGym's RepeatPrevious and
    PositionOnlyCartPole with an LRU. Other tasks may prefer other values; 3e-4 and 0.95 are
    customary.

    Attributes:
        num_envs: Environments stepped side by side.
        num_steps: Steps of each environment per update.
        epochs: Passes over each rollout.
        minibatches: Minibatches per epoch; each holds whole environments, `num_envs / minibatches`.
        learning_rate: Adam's step size.
        learning_rate_end: What it falls to, linearly over `anneal_frames`.
        anneal_frames: Environment steps over which learning rate and entropy weight go to their
            ends; None keeps them constant. The learning rate counts gradient steps: epochs that
            `target_kl` skips do not lower it.
        adam_eps: Adam's epsilon.
        max_grad_norm: Gradients are scaled down to this global norm.
        discount: Per step, in [0, 1].
        gae_decay: Decay of generalised advantage estimation per step, in [0, 1].
        clip: The policy's ratio is clipped to [1 - clip, 1 + clip].
        value_clip: The value may move this far from the rollout's before its loss is clipped, in
            units of return; None switches that off.
        entropy: Weight of the entropy bonus, per nat.
        entropy_end: What it goes to, linearly over `anneal_frames`; None keeps it constant.
        value_coefficient: Weight of the value loss.
        normalize_advantages: To mean 0 and deviation 1 within each `"minibatch"`, over the whole
            `"batch"`, or not at all, `"none"`.
        target_kl: Once an epoch's mean approximate KL, in nats, is above it, the later epochs of
            the update change nothing (they are masked, not saved); None for no such bound.
        refresh: `"never"`: values, advantages and the carry into the next rollout are those of the
            parameters that acted. `"epoch"`: values and advantages are computed again before every
            epoch, and the carry again after the last: one more forward pass for each. The value
            behind a truncation stays the one from acting.
        burn_in: Leading steps of a rollout that warm the memory up and are not learned from.

    Raises:
        ValueError: A size is not positive, a fraction is out of range, or `num_envs` is not a
            multiple of `minibatches`.

    Example:
        >>> import memoalg as ma
        >>> ma.rl.PPOConfig(num_envs=8, num_steps=16).frames_per_update
        128
    """

    num_envs: int = 64
    num_steps: int = 128
    epochs: int = 4
    minibatches: int = 4
    learning_rate: float = 1e-3
    learning_rate_end: float = 0.0
    anneal_frames: int | None = None
    adam_eps: float = 1e-5
    max_grad_norm: float = 0.5
    discount: float = 0.99
    gae_decay: float = 0.8
    clip: float = 0.2
    value_clip: float | None = 0.2
    entropy: float = 0.01
    entropy_end: float | None = None
    value_coefficient: float = 0.5
    normalize_advantages: Literal["minibatch", "batch", "none"] = "minibatch"
    target_kl: float | None = None
    refresh: Literal["never", "epoch"] = "never"
    burn_in: int = 0

    def __check_init__(self) -> None:
        owner = "PPOConfig"
        for name in ("num_envs", "num_steps", "epochs", "minibatches"):
            check_size(owner, name, getattr(self, name))
        if self.anneal_frames is not None:
            check_size(owner, "anneal_frames", self.anneal_frames)
        for name in ("discount", "gae_decay"):
            check_range(owner, name, getattr(self, name), 0.0, 1.0)
        for name in _AT_LEAST_0:
            check_range(owner, name, getattr(self, name))
        choices = ("minibatch", "batch", "none")
        check_choice(owner, "normalize_advantages", self.normalize_advantages, choices)
        check_choice(owner, "refresh", self.refresh, ("never", "epoch"))
        check_burn_in(owner, self.burn_in, self.num_steps)
        check_minibatches(owner, self.num_envs, self.minibatches)

    @property
    def frames_per_update(self) -> int:
        """Environment steps that one update takes: `num_envs * num_steps`."""
        return self.num_envs * self.num_steps


_AT_LEAST_0 = (
    "learning_rate",
    "learning_rate_end",
    "adam_eps",
    "max_grad_norm",
    "clip",
    "value_clip",
    "entropy",
    "entropy_end",
    "value_coefficient",
    "target_kl",
)
