"""Hyper-parameters of DQN: typed, with units, checked at construction."""

from typing import Literal

import equinox as eqx

from ._config_checks import check_choice, check_range, check_size


class DQNConfig(eqx.Module):
    """Hyper-parameters of `DQN`.

    The paper behind the tape (arXiv 2402.09900) acts in one environment, one episode per gradient
    step, explores with 0.2 falling to 0.01 behind a phase of random actions, and uses a learning
    rate of 1e-4 with a clip of 0.01. Here several environments act side by side with as many
    trained tokens per step taken, and exploration falls from 1: with the layer norms of `QAgent`
    an FFM then learns POPGym's RepeatFirstEasy, first observations marked (`ma.envs.EpisodeStart`),
    in 20,000 steps and 300 gradient steps.

    Attributes:
        num_envs: Environments stepped side by side; lanes of the replay ring.
        num_steps: Steps of each environment per update.
        gradient_steps: Per update, each on a fresh batch.
        capacity: Transitions kept, a multiple of `num_envs * num_steps`. Only whole episodes are
            learned from: a lane, `capacity / num_envs` steps, must hold several.
        warmup_frames: Environment steps before learning begins.
        replay: `"tape"`: whole episodes one after the other. `"segment"`: parts of episodes side by
            side, padded with zeros.
        batch_size: Tokens of a tape, several times those of an episode: a tape begins with whole
            episodes and cuts the last one, so the ends of episodes that are longer would never be
            learned. Of segments, transitions with padding: `batch_size // segment_length` rows.
        segment_length: Most transitions of a segment.
        carry: What a segment's first token is met with: a `"zero"`, that is fresh, memory, or the
            one `"stored"` when it was acted on, by older parameters; the ring then keeps a memory
            per transition.
        burn_in: Tokens before a segment that only warm the memory up.
        faithful: The published algorithm, for comparison: other losses on tapes than on segments,
            targets that have not seen an episode's first observation, and never one of the two
            newest episodes.
        learning_rate: Adam's step size.
        rate_warmup: Gradient steps over which it rises linearly to that.
        learning_rate_end: What it falls to, linearly over `anneal_frames`.
        anneal_frames: Environment steps over which it falls, from the first gradient step on; None
            keeps it constant.
        adam_eps: Adam's epsilon.
        max_grad_norm: Gradients are scaled down to this global norm.
        discount: Per step, in [0, 1].
        double: The learning network chooses the action that the target network judges.
        huber: Error beyond which the loss is linear, in units of return.
        target_decay: The target network keeps this share of itself in each gradient step.
        epsilon: Probability of a random action, at first.
        epsilon_end: What it falls to.
        epsilon_frames: Environment steps over which it falls, linearly.

    Raises:
        ValueError: A size is not positive, a fraction is out of range, the capacity does not fit,
            or two settings contradict each other.

    Example:
        >>> import memoalg as ma
        >>> config = ma.rl.DQNConfig(num_envs=4, num_steps=16, capacity=6400)
        >>> config.frames_per_update, config.lane_capacity
        (64, 1600)
    """

    num_envs: int = 8
    num_steps: int = 32
    gradient_steps: int = 4
    capacity: int = 65_536
    warmup_frames: int = 2_048
    replay: Literal["tape", "segment"] = "tape"
    batch_size: int = 1_000
    segment_length: int = 50
    carry: Literal["zero", "stored"] = "zero"
    burn_in: int = 0
    faithful: bool = False
    learning_rate: float = 3e-4
    rate_warmup: int = 200
    learning_rate_end: float = 0.0
    anneal_frames: int | None = None
    adam_eps: float = 1e-8
    max_grad_norm: float = 0.5
    discount: float = 0.99
    double: bool = True
    huber: float = 1.0
    target_decay: float = 0.995
    epsilon: float = 1.0
    epsilon_end: float = 0.05
    epsilon_frames: int = 20_000

    def __check_init__(self) -> None:
        owner = "DQNConfig"
        for name in _SIZES:
            check_size(owner, name, getattr(self, name))
        for name in ("warmup_frames", "burn_in", "rate_warmup"):
            check_size(owner, name, getattr(self, name), least=0)
        if self.anneal_frames is not None:
            check_size(owner, "anneal_frames", self.anneal_frames)
        for name in ("discount", "target_decay", "epsilon", "epsilon_end"):
            check_range(owner, name, getattr(self, name), 0.0, 1.0)
        for name in ("learning_rate", "learning_rate_end", "adam_eps", "max_grad_norm", "huber"):
            check_range(owner, name, getattr(self, name))
        check_choice(owner, "replay", self.replay, ("tape", "segment"))
        check_choice(owner, "carry", self.carry, ("zero", "stored"))
        _check_capacity(self.capacity, self.num_envs, self.num_steps)
        _check_batch(self)

    @property
    def frames_per_update(self) -> int:
        """Environment steps that one update takes: `num_envs * num_steps`."""
        return self.num_envs * self.num_steps

    @property
    def lane_capacity(self) -> int:
        """Steps of each environment that the ring holds."""
        return self.capacity // self.num_envs

    @property
    def warmup_updates(self) -> int:
        """Updates before learning begins, rounded up; that many rollouts are stored by then."""
        return -(-self.warmup_frames // self.frames_per_update)


_SIZES = (
    "num_envs",
    "num_steps",
    "gradient_steps",
    "capacity",
    "batch_size",
    "segment_length",
    "epsilon_frames",
)


def _check_capacity(capacity: int, num_envs: int, num_steps: int) -> None:
    rows = num_envs * num_steps
    if capacity % rows:
        below = capacity // rows * rows
        choices = f"{below} or {below + rows}" if below else f"{rows}"
        raise ValueError(
            f"DQNConfig: capacity={capacity} is no multiple of num_envs * num_steps = {rows}; "
            f"write capacity={choices}."
        )


def _check_batch(config: DQNConfig) -> None:
    tape = config.replay == "tape"
    if tape and (config.carry != "zero" or config.burn_in):
        raise ValueError(
            "DQNConfig: a tape holds whole episodes, which begin with a fresh memory: carry="
            f"{config.carry!r} and burn_in={config.burn_in} mean nothing there; write "
            "replay='segment', or leave them out."
        )
    if config.faithful and (config.carry != "zero" or config.burn_in):
        raise ValueError(
            "DQNConfig: the published algorithm (faithful=True) has neither stored carries nor "
            "burn-in; leave carry and burn_in out, or write faithful=False."
        )
    if tape and config.batch_size < 2:
        raise ValueError("DQNConfig: a tape of batch_size=1 token has no target; write at least 2.")
    if not tape and config.segment_length > config.batch_size:
        raise ValueError(
            f"DQNConfig: batch_size={config.batch_size} has no room for a segment of "
            f"segment_length={config.segment_length}; write batch_size as a multiple of it."
        )
