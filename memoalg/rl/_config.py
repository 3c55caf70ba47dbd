"""Hyper-parameters of PPO: typed, with units, checked at construction."""

import equinox as eqx


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
        anneal_frames: Environment steps over which the learning rate falls linearly to 0;
            None keeps it constant.
        adam_eps: Adam's epsilon.
        max_grad_norm: Gradients are scaled down to this global norm.
        discount: Per step, in [0, 1].
        gae_decay: Decay of generalised advantage estimation per step, in [0, 1].
        clip: The policy's ratio is clipped to [1 - clip, 1 + clip].
        value_clip: The value may move this far from the rollout's before its loss is clipped, in
            units of return; None switches that off.
        entropy: Weight of the entropy bonus, per nat.
        value_coefficient: Weight of the value loss.
        normalize_advantages: Normalise advantages to mean 0, deviation 1 within each minibatch.

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
    anneal_frames: int | None = None
    adam_eps: float = 1e-5
    max_grad_norm: float = 0.5
    discount: float = 0.99
    gae_decay: float = 0.8
    clip: float = 0.2
    value_clip: float | None = 0.2
    entropy: float = 0.01
    value_coefficient: float = 0.5
    normalize_advantages: bool = True

    def __check_init__(self) -> None:
        for name in ("num_envs", "num_steps", "epochs", "minibatches"):
            _check_size(name, getattr(self, name))
        if self.anneal_frames is not None:
            _check_size("anneal_frames", self.anneal_frames)
        for name in ("discount", "gae_decay"):
            _check_range(name, getattr(self, name), 0.0, 1.0)
        for name in ("learning_rate", "adam_eps", "max_grad_norm", "clip", "value_clip", "entropy"):
            _check_range(name, getattr(self, name), 0.0, float("inf"))
        _check_range("value_coefficient", self.value_coefficient, 0.0, float("inf"))
        if self.num_envs % self.minibatches:
            fitting = [n for n in range(1, self.num_envs + 1) if self.num_envs % n == 0]
            raise ValueError(
                f"PPOConfig: num_envs={self.num_envs} cannot be split into "
                f"minibatches={self.minibatches} of whole environments; "
                f"write minibatches as one of {fitting}, or change num_envs."
            )

    @property
    def frames_per_update(self) -> int:
        """Environment steps that one update takes: `num_envs * num_steps`."""
        return self.num_envs * self.num_steps


def _check_size(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"PPOConfig: {name} must be an int of at least 1, not {value!r}.")


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    # An array or tracer is a hyper-parameter being swept over: its values are not known here.
    if isinstance(value, (int, float)) and not low <= value <= high:
        raise ValueError(f"PPOConfig: {name} must lie in [{low:g}, {high:g}], not {value!r}.")
