"""A plain single-file PPO with a GRU, as a careful user of jax and optax writes it by hand.

The shape is that of PureJaxRL's `ppo_rnn`: one jitted update holding the rollout scan, generalised
advantage estimation by a reversed `lax.scan`, and epochs of minibatches over environments. It knows
nothing of memoalg (which only lends its cart-pole where gymnax is not installed), so
`benchmarks/ppo.py` uses it as the yardstick.

What it does, so that the comparison is fair:

- dense 128, relu, GRU 128, dense 128, relu, policy and value heads, all shared; the dense layers
  see the whole (time, environments) block, and only the GRU cell is inside the time scan;
- the GRU's three gates share one matrix for the input and one for the carry (flax's cell uses six
  separate ones, which is 8 % slower here). Forming the input's product for all steps before the
  scan was tried and is no faster on a CPU, so it is written in the cell, where one expects it;
- products are written `x @ w` on (time, environments) arrays, as one does. On rows flattened
  beforehand XLA's weight gradients are faster, and the whole loop by 8 %;
- PureJaxRL's own network has a second torso for the value, 15 % more arithmetic; this one does not;
- the carry is reset where an episode starts, the carry before the rollout is stored, and the
  first minibatch's probability ratio is exactly what the rollout computed;
- like PureJaxRL it treats a time limit as the end of the episode, which saves the work of valuing
  the final observation;
- metrics are a few scalars per update.

    python benchmarks/baseline_ppo_gru.py [--updates 60] [--quick]
"""

import argparse
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array


class Config(NamedTuple):
    """Sizes and constants of one run; all are plain numbers.

    Attributes:
        environments: environments stepped side by side.
        steps: environment steps of one rollout.
        width: units of every layer.
        minibatches: parts that the environments are dealt into, in each epoch.
        epochs: passes over one rollout.
        learning_rate: of Adam, per gradient step.
        discount: of rewards, per environment step.
        decay: λ of the advantage estimator.
        clip: range of the probability ratio and of the change of the value.
        entropy_weight: weight of the entropy bonus.
        value_weight: weight of the value loss.
        max_grad_norm: global norm that gradients are scaled down to.
    """

    environments: int = 64
    steps: int = 128
    width: int = 128
    minibatches: int = 4
    epochs: int = 4
    learning_rate: float = 3e-4
    discount: float = 0.99
    decay: float = 0.95
    clip: float = 0.2
    entropy_weight: float = 0.01
    value_weight: float = 0.5
    max_grad_norm: float = 0.5


# ---- network ---------------------------------------------------------------------------------


class Dense(NamedTuple):
    weight: Array
    bias: Array


class Gru(NamedTuple):
    input_weight: Array
    hidden_weight: Array
    bias: Array
    hidden_bias: Array


class Network(NamedTuple):
    encoder: Dense
    gru: Gru
    torso: Dense
    policy: Dense
    value: Dense


def init_dense(key: Array, in_size: int, out_size: int, scale: float) -> Dense:
    weight = jax.nn.initializers.orthogonal(scale)(key, (in_size, out_size))
    return Dense(weight, jnp.zeros(out_size))


def init_gru(key: Array, size: int) -> Gru:
    input_key, hidden_key = jax.random.split(key)
    lecun = jax.nn.initializers.lecun_normal()(input_key, (size, 3 * size))
    orthogonal = jax.nn.initializers.orthogonal()
    hidden = [orthogonal(k, (size, size)) for k in jax.random.split(hidden_key, 3)]
    return Gru(lecun, jnp.concatenate(hidden, axis=1), jnp.zeros(3 * size), jnp.zeros(size))


def init_network(key: Array, observation_size: int, actions: int, width: int) -> Network:
    keys = jax.random.split(key, 5)
    return Network(
        encoder=init_dense(keys[0], observation_size, width, math.sqrt(2)),
        gru=init_gru(keys[1], width),
        torso=init_dense(keys[2], width, width, math.sqrt(2)),
        policy=init_dense(keys[3], width, actions, 0.01),
        value=init_dense(keys[4], width, 1, 1.0),
    )


def dense(layer: Dense, x: Array) -> Array:
    return x @ layer.weight + layer.bias


def gru_step(gru: Gru, hidden: Array, x: Array, start: Array) -> Array:
    """One step for a row of environments; the carry is reset where an episode starts."""
    hidden = jnp.where(start[:, None], jnp.zeros_like(hidden), hidden)
    in_reset, in_update, in_new = jnp.split(x @ gru.input_weight + gru.bias, 3, axis=-1)
    h_reset, h_update, h_new = jnp.split(hidden @ gru.hidden_weight, 3, axis=-1)
    reset = jax.nn.sigmoid(in_reset + h_reset)
    update = jax.nn.sigmoid(in_update + h_update)
    new = jnp.tanh(in_new + reset * (h_new + gru.hidden_bias))
    return (1.0 - update) * new + update * hidden


def heads(network: Network, hidden: Array) -> tuple[Array, Array]:
    torso = jax.nn.relu(dense(network.torso, hidden))
    return dense(network.policy, torso), dense(network.value, torso)[..., 0]


def act(network: Network, hidden: Array, observation: Array, start: Array):
    """Network on one step of every environment: new carry, logits, values."""
    encoded = jax.nn.relu(dense(network.encoder, observation))
    hidden = gru_step(network.gru, hidden, encoded, start)
    return (hidden, *heads(network, hidden))


def unroll(network: Network, hidden: Array, observation: Array, start: Array):
    """Network on (time, environments) observations: logits and values of every step."""
    encoded = jax.nn.relu(dense(network.encoder, observation))

    def step(hidden, inputs):
        hidden = gru_step(network.gru, hidden, *inputs)
        return hidden, hidden

    _, states = jax.lax.scan(step, hidden, (encoded, start))
    return heads(network, states)


def log_probability(logits: Array, action: Array) -> Array:
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], axis=-1)[..., 0]


def entropy(logits: Array) -> Array:
    log_p = jax.nn.log_softmax(logits)
    return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)


# ---- environment -----------------------------------------------------------------------------


class Task(NamedTuple):
    """What the loop needs of an environment that resets itself (gymnax 1.x calls)."""

    reset: Callable[[Array], tuple[Array, Any]]
    step: Callable[[Array, Any, Array], tuple[Array, Any, Array, Array]]
    observation_size: int
    actions: int
    name: str


def make_task() -> Task:
    """gymnax's CartPole, or memoalg's own PositionOnlyCartPole where gymnax is missing."""
    try:
        import gymnax

        name = "CartPole-v1"
        env, params = gymnax.make(name)
    except ImportError:
        import memoalg as ma

        name = "popgym/PositionOnlyCartPoleEasy"
        env, params = ma.envs.make(name)

    def reset(keys):
        return jax.vmap(env.reset, in_axes=(0, None))(keys, params)

    def step(keys, state, action):
        batched = jax.vmap(env.step, in_axes=(0, 0, 0, None))
        observation, state, reward, terminated, truncated, _ = batched(keys, state, action, params)
        return observation, state, reward, terminated | truncated

    size = int(env.observation_space(params).shape[0])
    return Task(reset, step, size, int(env.action_space(params).n), name)


# ---- the loop --------------------------------------------------------------------------------


class State(NamedTuple):
    """Everything that goes from one update to the next."""

    network: Network
    optimiser: Any
    env_state: Any
    observation: Array
    start: Array
    hidden: Array
    running_return: Array
    key: Array


class Step(NamedTuple):
    """One step of every environment, as the learner needs it."""

    observation: Array
    start: Array
    action: Array
    log_prob: Array
    value: Array
    reward: Array
    ended: Array


class Metrics(NamedTuple):
    """Scalars of one update; `first_ratio_error` is max |ratio - 1| of the first minibatch."""

    episode_return: Array
    episodes: Array
    loss: Array
    first_ratio_error: Array


class Algorithm(NamedTuple):
    init: Callable[[Array], State]
    update: Callable[[State], tuple[State, Metrics]]


def advantages_of(steps: Step, last_value: Array, config: Config) -> Array:
    """Generalised advantage estimation from the end of the rollout to its beginning."""

    def backward(carry, step):
        advantage, next_value = carry
        go_on = jnp.where(step.ended, 0.0, config.discount)
        delta = step.reward + go_on * next_value - step.value
        advantage = delta + go_on * config.decay * advantage
        return (advantage, step.value), advantage

    begin = (jnp.zeros_like(last_value), last_value)
    return jax.lax.scan(backward, begin, steps, reverse=True)[1]


def loss_of(network: Network, batch: tuple[Array, Step, Array], config: Config):
    """Clipped PPO loss of one minibatch, and the largest distance of a ratio from 1."""
    hidden, steps, advantage = batch
    logits, value = unroll(network, hidden, steps.observation, steps.start)
    ratio = jnp.exp(log_probability(logits, steps.action) - steps.log_prob)
    target = advantage + steps.value
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped_ratio = jnp.clip(ratio, 1.0 - config.clip, 1.0 + config.clip)
    policy_loss = -jnp.minimum(ratio * advantage, clipped_ratio * advantage).mean()
    near = steps.value + jnp.clip(value - steps.value, -config.clip, config.clip)
    value_loss = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
    bonus = config.entropy_weight * entropy(logits).mean()
    loss = policy_loss + config.value_weight * value_loss - bonus
    return loss, jnp.max(jnp.abs(ratio - 1.0))


def minibatches_of(key: Array, hidden: Array, blocks: Any, config: Config) -> Any:
    """Deal the environments into minibatches; time stays whole."""
    order = jax.random.permutation(key, config.environments)
    parts = config.minibatches

    def deal(x):  # (time, environments, ...) -> (minibatches, time, part, ...)
        x = jnp.take(x, order, axis=1)
        return jnp.swapaxes(x.reshape(x.shape[0], parts, -1, *x.shape[2:]), 0, 1)

    dealt_hidden = hidden[order].reshape(parts, -1, hidden.shape[-1])
    return (dealt_hidden, *jax.tree.map(deal, blocks))


def make_algorithm(task: Task, config: Config) -> Algorithm:
    """Bind task and constants into pure `init(key)` and `update(state)`; jit them yourself."""
    optimiser = optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm),
        optax.adam(config.learning_rate, eps=1e-5),
    )

    def init(key: Array) -> State:
        network_key, reset_key, key = jax.random.split(key, 3)
        network = init_network(network_key, task.observation_size, task.actions, config.width)
        observation, env_state = task.reset(jax.random.split(reset_key, config.environments))
        return State(
            network=network,
            optimiser=optimiser.init(network),
            env_state=env_state,
            observation=observation,
            start=jnp.ones(config.environments, bool),
            hidden=jnp.zeros((config.environments, config.width)),
            running_return=jnp.zeros(config.environments),
            key=key,
        )

    def env_step(state: State, _: None) -> tuple[State, tuple[Step, Array]]:
        key, action_key, step_key = jax.random.split(state.key, 3)
        hidden, logits, value = act(state.network, state.hidden, state.observation, state.start)
        action = jax.random.categorical(action_key, logits)
        keys = jax.random.split(step_key, config.environments)
        observation, env_state, reward, ended = task.step(keys, state.env_state, action)
        log_prob = log_probability(logits, action)
        step = Step(state.observation, state.start, action, log_prob, value, reward, ended)
        total = state.running_return + reward
        state = state._replace(
            env_state=env_state, observation=observation, start=ended, hidden=hidden, key=key,
            running_return=jnp.where(ended, 0.0, total),
        )  # fmt: skip
        return state, (step, jnp.where(ended, total, 0.0))

    def learn_minibatch(learner, batch):
        network, optimiser_state = learner
        (loss, error), gradient = jax.value_and_grad(loss_of, has_aux=True)(network, batch, config)
        change, optimiser_state = optimiser.update(gradient, optimiser_state, network)
        return (optax.apply_updates(network, change), optimiser_state), (loss, error)

    def update(state: State) -> tuple[State, Metrics]:
        hidden = state.hidden
        state, (steps, finished) = jax.lax.scan(env_step, state, None, length=config.steps)
        _, _, last_value = act(state.network, state.hidden, state.observation, state.start)
        advantages = advantages_of(steps, last_value, config)

        def epoch(learner, key):
            batches = minibatches_of(key, hidden, (steps, advantages), config)
            return jax.lax.scan(learn_minibatch, learner, batches)

        key, *epoch_keys = jax.random.split(state.key, config.epochs + 1)
        learner = (state.network, state.optimiser)
        learner, (loss, error) = jax.lax.scan(epoch, learner, jnp.stack(epoch_keys))
        episodes = jnp.sum(steps.ended)
        mean_return = jnp.sum(finished) / jnp.maximum(episodes, 1)
        metrics = Metrics(mean_return, episodes, loss.mean(), error[0, 0])
        return state._replace(network=learner[0], optimiser=learner[1], key=key), metrics

    return Algorithm(init, update)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the baseline and print what it earns.")
    parser.add_argument("--updates", type=int, default=60, help="updates of 8192 frames each")
    parser.add_argument("--quick", action="store_true", help="five updates")
    options = parser.parse_args()
    updates = 5 if options.quick else options.updates
    config = Config()
    task = make_task()
    algorithm = make_algorithm(task, config)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    update = jax.jit(algorithm.update, donate_argnums=0).lower(state).compile()
    print(f"{task.name}: {config}")
    begin = time.process_time()
    for number in range(1, updates + 1):
        state, metrics = update(state)
        if number % 5 == 0 or number == 1:
            frames = number * config.environments * config.steps
            print(
                f"{frames:>8} frames  return {float(metrics.episode_return):7.1f}  "
                f"first ratio error {float(metrics.first_ratio_error):.1e}  "
                f"{frames / (time.process_time() - begin):8.0f} frames per CPU-second"
            )


if __name__ == "__main__":
    main()
