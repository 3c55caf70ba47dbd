"""Small environments and memories of which everything is known, for the tests of `memoalg.rl`."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

import memoalg as ma


class TickerState(eqx.Module):
    time: Int[Array, ""]
    limit: Int[Array, ""]


class Ticker(ma.envs.AbstractEnvironment):
    """Shows the time since the episode began. It lasts 3 to 6 steps: even lengths end by
    termination, odd ones by truncation. The reward of the step at time t is t + 1."""

    @property
    def name(self) -> str:
        return "Ticker"

    def default_params(self) -> None:
        return None

    def reset(self, key: Key[Array, ""], params: None) -> tuple[Float[Array, "1"], TickerState]:
        limit = jax.random.randint(key, (), 3, 7)
        return jnp.zeros(1), TickerState(jnp.zeros((), jnp.int32), limit)

    def transition(self, key: Key[Array, ""], state: TickerState, action: Array, params: None):
        time = state.time + 1
        over, even = time >= state.limit, state.limit % 2 == 0
        seen = time.astype(float)
        return seen[None], TickerState(time, state.limit), seen, over & even, over & ~even

    def observation_space(self, params: None) -> ma.envs.Box:
        return ma.envs.Box(0, 6, (1,))

    def action_space(self, params: None) -> ma.envs.Discrete:
        return ma.envs.Discrete(3)


class Echo(ma.envs.AbstractEnvironment):
    """Continuous: shows the action it got, pays for being near 0.5, lasts 4 steps."""

    @property
    def name(self) -> str:
        return "Echo"

    def default_params(self) -> None:
        return None

    def reset(self, key: Key[Array, ""], params: None) -> tuple[Float[Array, "2"], Int[Array, ""]]:
        return jnp.zeros(2), jnp.zeros((), jnp.int32)

    def transition(self, key: Key[Array, ""], state: Int[Array, ""], action: Array, params: None):
        time, never = state + 1, jnp.zeros((), bool)
        return action, time, -jnp.sum((action - 0.5) ** 2), never, time >= 4

    def observation_space(self, params: None) -> ma.envs.Box:
        return ma.envs.Box(-1, 1, (2,))

    def action_space(self, params: None) -> ma.envs.Box:
        return ma.envs.Box(-0.5, 0.75, (2,))


class Counter(ma.nn.AbstractLayer):
    """Counts the steps of the episode, the present one included: `[count, 0, 0, ...]`."""

    in_size: int | None = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)

    def init_carry(self) -> Int[Array, ""]:
        return jnp.zeros((), jnp.int32)

    def step(self, carry: Int[Array, ""], x: Float[Array, " F"], start: Bool[Array, ""] | None):
        assert start is not None
        carry = jnp.where(start, 0, carry) + 1
        return carry, jnp.zeros_like(x).at[0].set(carry.astype(x.dtype))

    def __call__(self, carry, xs, start, *, method=None):
        return jax.lax.scan(lambda c, now: self.step(c, *now), carry, (xs, start))


def counter(in_size: int, key: Array) -> Counter:
    return Counter(in_size, in_size)


def counting_network(env: ma.envs.AbstractEnvironment) -> ma.rl.ActorCriticNetwork:
    """A network whose value is the number of steps of the episode: in `Ticker`, observation + 1."""
    agent = ma.rl.ActorCritic(counter, width=4)
    network = agent.init(jax.random.key(0), env.observation_space(None), env.action_space(None))
    chosen = jnp.zeros((4, 1)).at[0].set(1.0)
    weights = jnp.eye(4), chosen
    return eqx.tree_at(lambda n: (n.torso.output.weight, n.value.weight), network, weights)


def outspoken(network: ma.rl.ActorCriticNetwork) -> ma.rl.ActorCriticNetwork:
    """The network with a policy that depends on its input visibly: fresh heads do not."""
    return eqx.tree_at(lambda n: n.policy.weight, network, 100 * network.policy.weight)
