"""gymnasium's environments behind one ordered call to the host, beside a bare loop in Python."""

import functools
import logging
import sys
import traceback
from typing import Any, ClassVar

import jax
import jax.errors
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.envs import Box, Dict, Discrete, MultiDiscrete, Tuple
from memoalg.envs._host import HostState
from memoalg.envs._host_make import from_gymnasium, from_popgym

gymnasium = pytest.importorskip("gymnasium")
spaces = gymnasium.spaces

KEY = jax.random.key(3)


@functools.partial(jax.jit, static_argnums=0)
def rollout(env, state, actions):
    """Play a sequence of actions in a scan."""

    def body(state, action):
        observation, state, *rest = env.step(KEY, state, action)
        return state, (observation, *rest)

    return jax.lax.scan(body, state, actions)


def random_actions(env, length: int) -> Any:
    sample = jax.vmap(jax.vmap(env.action_space().sample))
    return sample(jax.random.split(KEY, (length, env.num_envs)))


# A small environment whose every value says what it is.


class Recorder(gymnasium.Env):
    """Counts to its length; every observation is (seed, step) in one buffer that is written again."""

    events: ClassVar[list] = []
    made = 0

    def __init__(self, length: int = 4, fail_at: int = -1, both: bool = False):
        self.observation_space = spaces.Box(-1, 2**31 - 2, (3,), np.int64)
        self.action_space = spaces.Discrete(3, start=5)
        self.length, self.fail_at, self.both = length, fail_at, both
        self.number, self.closed = Recorder.made, False
        Recorder.made += 1
        self.episode, self.buffer = 0, np.zeros(3, np.int64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.buffer[0] = -1 if seed is None else seed
        self.buffer[1], self.time = 0, 0
        self.episode += 1
        self.events.append((self.number, "reset", seed))
        return self.buffer, {}

    def step(self, action):
        assert action in self.action_space
        self.time += 1
        if self.time == self.fail_at:
            raise LookupError("the box was empty")
        self.buffer[1:] = self.time, action
        self.events.append((self.number, "step", int(action)))
        over = self.time == self.length
        return self.buffer, 0.5 * self.time, over, over and self.both, {}

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def forget():
    Recorder.events.clear()
    Recorder.made = 0


def recorder(**arguments) -> Any:
    return functools.partial(Recorder, **arguments)


# Equality with the loop that one would write.


def bare_loop(envs: list, seeds: np.ndarray, actions: list) -> tuple:
    """What `HostEnvironment` promises, written plainly; observations as lists of gymnasium's."""
    first = [np.copy(env.reset(seed=int(seed))[0]) for env, seed in zip(envs, seeds, strict=True)]
    steps = []
    for row in actions:
        step = []
        for env, action in zip(envs, row, strict=True):
            observation, reward, terminated, truncated, _ = env.step(action)
            final = np.copy(observation)
            shown = env.reset()[0] if terminated or truncated else observation
            step.append((np.copy(shown), reward, terminated, truncated, final))
        steps.append([np.stack(part) for part in zip(*step, strict=True)])
    return np.stack(first), [np.stack(part) for part in zip(*steps, strict=True)]


CASES = {
    "CartPole": lambda: from_gymnasium("CartPole-v1", 3),
    "Pendulum": lambda: from_gymnasium("Pendulum-v1", 2, {"g": 9.0}),
    "FrozenLake": lambda: from_gymnasium("FrozenLake-v1", 3),
    "RepeatPrevious": lambda: from_popgym("RepeatPreviousEasy", 3),
    "Concentration": lambda: from_popgym("ConcentrationEasy", 2),
    "MineSweeper": lambda: from_popgym("MineSweeperEasy", 2),
    "VelocityOnlyCartPole": lambda: from_popgym("VelocityOnlyCartPoleEasy", 2),
    "a function": lambda: from_gymnasium(recorder(), 3),
}
NAMES = {
    "CartPole": ("CartPole-v1", {}),
    "Pendulum": ("Pendulum-v1", {"g": 9.0}),
    "FrozenLake": ("FrozenLake-v1", {}),
    "RepeatPrevious": ("popgym-RepeatPreviousEasy-v0", {}),
    "Concentration": ("popgym-ConcentrationEasy-v0", {}),
    "MineSweeper": ("popgym-MineSweeperEasy-v0", {}),
    "VelocityOnlyCartPole": ("popgym-VelocityOnlyCartpoleEasy-v0", {}),
}
POPGYM = ("RepeatPrevious", "Concentration", "MineSweeper", "VelocityOnlyCartPole")


@pytest.mark.parametrize("case", CASES)
def test_a_scan_equals_a_bare_loop(case):
    if case in POPGYM:
        pytest.importorskip("popgym.envs", exc_type=ImportError)
    with CASES[case]() as env:
        actions = random_actions(env, 230)
        first, state = env.reset(KEY)
        last, (observation, reward, terminated, truncated, info) = rollout(env, state, actions)
        seeds = np.asarray(env.seeds(KEY))
    if case == "a function":
        bare, start = [Recorder() for _ in range(3)], 5
    else:
        name, arguments = NAMES[case]
        bare, start = [gymnasium.make(name, **arguments) for _ in range(env.num_envs)], 0
    theirs = [[action + start for action in row] for row in np.asarray(actions)]
    first_bare, bare_steps = bare_loop(bare, seeds, theirs)
    assert len(set(seeds.tolist())) == env.num_envs
    assert np.array_equal(first, first_bare.astype(first.dtype))
    parts = (observation, reward, terminated, truncated, info["final_observation"])
    for part, wanted in zip(parts, bare_steps, strict=True):
        assert np.array_equal(part, wanted.astype(part.dtype))
    assert np.any(terminated | truncated)
    assert int(last.ticket) == 231


def test_resets_and_steps_come_in_the_loops_order():
    with from_gymnasium(recorder(length=2), 2) as env:
        _, state = env.reset(KEY)
        rollout(env, state, jnp.array([[0, 1], [2, 0]], jnp.int32))
        a, b = env.seeds(KEY).tolist()
    assert Recorder.events == [
        *((0, "reset", a), (1, "reset", b)),
        *((0, "step", 5), (1, "step", 6)),
        *((0, "step", 7), (0, "reset", None), (1, "step", 5), (1, "reset", None)),
    ]


def test_ten_equal_calls_are_ten_steps():
    """Nothing is merged, reused or dropped, although no result is used."""
    with from_gymnasium(recorder(length=100), 1) as env:
        _, state = env.reset(KEY)

        @jax.jit
        def ten(state):
            def body(state, _):
                return env.step(KEY, state, jnp.zeros(1, jnp.int32))[1], None

            jax.lax.scan(body, state, None, length=10)

        ten(state)
        jax.effects_barrier()
        assert Recorder.events[1:] == [(0, "step", 5)] * 10


def test_outside_of_jit_it_is_the_same():
    results = []
    for wrap in (lambda f: f, jax.jit):
        with from_gymnasium("CartPole-v1", 2) as env:
            step = wrap(env.step)
            observation, state = wrap(env.reset)(KEY)
            outs = [observation]
            for _ in range(15):
                out = step(KEY, state, jnp.array([0, 1], jnp.int32))
                state = out[1]
                outs.append(out)
            results.append(outs)
    assert jax.tree.structure(results[0]) == jax.tree.structure(results[1])
    for eager, jitted in zip(*map(jax.tree.leaves, results), strict=True):
        assert eager.dtype == jitted.dtype
        assert np.array_equal(eager, jitted)


def test_the_same_key_begins_the_same_episodes():
    with from_gymnasium("CartPole-v1", 2) as env:
        first, state = env.reset(KEY)
        env.step(KEY, state, jnp.zeros(2, jnp.int32))
        again, _ = env.reset(KEY)
        other, _ = env.reset(jax.random.key(4))
    assert np.array_equal(first, again)
    assert not np.any(first == other)
    assert not np.array_equal(first[0], first[1])


def test_a_constant_key_inside_jit_resets_at_run_time():
    with from_gymnasium(recorder(), 1) as env:
        begin = jax.jit(lambda: env.reset(KEY))
        begin()
        begin()
        jax.effects_barrier()
        assert len(Recorder.events) == 2


def test_both_flags_stay_apart():
    for both in (False, True):
        with from_gymnasium(recorder(length=2, both=both), 1) as env:
            _, state = env.reset(KEY)
            _, out = rollout(env, state, jnp.zeros((2, 1), jnp.int32))
            assert out[2][:, 0].tolist() == [False, True]
            assert out[3][:, 0].tolist() == [False, both]


# Spaces.

EVERYTHING = spaces.Dict(
    {
        "z": spaces.Tuple((spaces.Discrete(3, start=-1), spaces.Box(0, 255, (2, 2), np.uint8))),
        "a": spaces.MultiDiscrete(np.array([[2, 3], [4, 5]]), start=np.array([[1, 0], [0, 1]])),
        "m": spaces.MultiBinary((2, 2)),
        "f": spaces.Box(-1.0, 1.0, (2,), np.float64),
        "i": spaces.Box(-(2**40), 2**40, (1,), np.int64),
    }
)
AS_OURS = {
    "a": MultiDiscrete((2, 3, 4, 5)),
    "f": Box(-1.0, 1.0, (2,)),
    "i": Box(-(2**31), 2**31 - 1, (1,), np.int32),
    "m": MultiDiscrete((2, 2, 2, 2)),
    "z": Tuple((Discrete(3), Box(0, 255, (2, 2), np.uint8))),
}


class Echo(gymnasium.Env):
    """Shows the last action, which is from the same space."""

    observation_space = action_space = EVERYTHING

    def reset(self, *, seed=None, options=None):
        self.action_space.seed(seed)
        return self.action_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        return action, 0, False, False, {}


def test_every_kind_of_space_goes_there_and_back():
    with from_gymnasium(Echo, 2) as env:
        assert env.observation_space() == env.action_space() == Dict(AS_OURS)
        first, state = env.reset(KEY)
        del AS_OURS["i"]  # its bounds are too wide to sample
        sample = jax.vmap(Dict(AS_OURS).sample)(jax.random.split(KEY, 2))
        action = {**sample, "i": jnp.array([[-7], [2**31 - 1]], jnp.int32)}
        observation, *_ = jax.jit(env.step)(KEY, state, action)
        assert jax.vmap(env.observation_space().contains)(first).all()
        assert jax.tree.structure(action) == jax.tree.structure(observation)
        for sent, seen in zip(*map(jax.tree.leaves, (action, observation)), strict=True):
            assert sent.dtype == seen.dtype
            assert np.array_equal(sent, seen)


@pytest.mark.parametrize("x64", [False, True])
def test_dtypes_follow_x64(x64):
    with jax.enable_x64(x64), from_gymnasium("Pendulum-v1", 2) as env:
        default = np.dtype("float64" if x64 else "float32")
        observation, state = jax.jit(env.reset)(KEY)
        out = jax.jit(env.step)(KEY, state, jnp.zeros((2, 1)))
        assert observation.dtype == out[0].dtype == out[2].dtype == default
        space = env.observation_space()
        assert isinstance(space, Box)
        assert space.dtype == default
        assert out[1].ticket.dtype == np.dtype("int32")


def test_an_unknown_space_is_refused():
    class Texts(Recorder):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Text(5)

    with pytest.raises(
        TypeError, match=r"gymnasium's space Text.* none of Discrete, MultiDiscrete"
    ):
        from_gymnasium(Texts)


def test_an_observation_of_another_shape_is_refused():
    class Liar(Recorder):
        def reset(self, *, seed=None, options=None):
            return np.zeros(4), {}

    with (
        from_gymnasium(Liar) as env,
        pytest.raises(ValueError, match=r"Box.* has shape \(3,\), got \(4,\)"),
    ):
        env.reset(KEY)


# What goes wrong.


def failing(env, state):
    return jax.block_until_ready(rollout(env, state, jnp.zeros((6, 2), jnp.int32)))


def test_an_exception_inside_a_program_is_raised_as_it_is(caplog):
    caplog.set_level(logging.ERROR)
    with pytest.raises(LookupError) as caught, from_gymnasium(recorder(fail_at=3), 2) as env:
        failing(env, env.reset(KEY)[1])
    error = caught.value
    assert type(error) is LookupError
    assert str(error) == "the box was empty"
    assert "raised on the host by environment 0 of Recorder" in " ".join(error.__notes__)
    text = "".join(traceback.format_exception(error))
    assert 'raise LookupError("the box was empty")' in text
    assert "JaxRuntimeError" not in text
    assert not caplog.records  # jax would log the traceback once more
    assert all(inner.closed for inner in env._batch.envs)


def test_an_exception_is_raised_although_nobody_waits():
    with (
        pytest.raises(LookupError, match="the box was empty"),
        from_gymnasium(recorder(fail_at=3), 2) as env,
    ):
        rollout(env, env.reset(KEY)[1], jnp.zeros((6, 2), jnp.int32))


def test_own_errors_raises_and_leaves_the_environments_open():
    env = from_gymnasium(recorder(fail_at=3), 2)
    _, state = env.reset(KEY)
    with pytest.raises(LookupError, match="the box was empty"), env.own_errors():
        failing(env, state)
    # The same again, until a reset.
    with pytest.raises(LookupError, match="the box was empty"):
        env.step(KEY, state, jnp.zeros(2, jnp.int32))
    _, state = env.reset(KEY)
    env.step(KEY, state, jnp.zeros(2, jnp.int32))
    env.close()


def test_without_a_block_the_text_is_in_jaxs_error():
    env = from_gymnasium(recorder(fail_at=3), 2)
    with pytest.raises(jax.errors.JaxRuntimeError, match="LookupError: the box was empty"):
        failing(env, env.reset(KEY)[1])
    env.close()


def test_an_exception_outside_of_jit_is_raised_as_it_is():
    with from_gymnasium(recorder(fail_at=1), 2) as env:
        _, state = env.reset(KEY)
        with pytest.raises(LookupError, match="the box was empty"):
            env.step(KEY, state, jnp.zeros(2, jnp.int32))


def test_other_errors_pass_through_the_block():
    with pytest.raises(ZeroDivisionError), from_gymnasium(recorder()) as env:
        raise ZeroDivisionError
    assert env._batch.envs[0].closed


def test_a_closed_environment_says_so():
    env = from_gymnasium(recorder(), 2)
    _, state = env.reset(KEY)
    env.close()
    env.close()
    assert all(inner.closed for inner in env._batch.envs)
    with pytest.raises(RuntimeError, match=r"Recorder is closed; make a new one"), env.own_errors():
        failing(env, state)
    with pytest.raises(RuntimeError, match=r"Recorder is closed; make a new one"):
        env.reset(KEY)


def test_an_old_state_is_refused():
    with from_gymnasium(recorder(), 1) as env:
        _, state = env.reset(KEY)
        action = jnp.zeros(1, jnp.int32)
        _, newer, *_ = env.step(KEY, state, action)
        with pytest.raises(RuntimeError, match=r"not its newest one.*cannot go back"):
            env.step(KEY, state, action)
        _, newer = env.reset(KEY)
        env.step(KEY, newer, action)
        assert isinstance(newer, HostState)


NOT_VMAPPED = "gymnasium/CartPole-v1 runs on the host and cannot be vmapped: it is 2 environments"


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_vmap_is_refused_in_one_line(wrap):
    with from_gymnasium("CartPole-v1", 2) as env:
        keys = jax.random.split(KEY, 3)
        with pytest.raises(TypeError, match=NOT_VMAPPED) as caught:
            wrap(jax.vmap(env.reset))(keys)
        assert "\n" not in str(caught.value)
        _, state = env.reset(KEY)
        with pytest.raises(TypeError, match=NOT_VMAPPED):
            wrap(jax.vmap(wrap(env.step), (None, None, 0)))(
                KEY, state, jnp.zeros((3, 2), jnp.int32)
            )
        actions = jnp.zeros((3, 4, 2), jnp.int32)
        with pytest.raises(TypeError, match=NOT_VMAPPED):
            jax.vmap(rollout, (None, None, 0))(env, state, actions)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_a_derivative_is_refused_in_one_line(wrap):
    with from_gymnasium("Pendulum-v1", 2) as env:
        _, state = env.reset(KEY)
        loss = lambda action: env.step(KEY, state, action)[2].sum()
        with pytest.raises(TypeError, match="Pendulum-v1 runs on the host and has no derivative"):
            wrap(jax.grad(loss))(jnp.zeros((2, 1)))
        stopped = lambda action: loss(jax.lax.stop_gradient(action)) + action.sum()
        assert np.array_equal(wrap(jax.grad(stopped))(jnp.zeros((2, 1))), np.ones((2, 1)))


def test_bad_actions_are_explained():
    with from_gymnasium("CartPole-v1", 2) as env:
        _, state = env.reset(KEY)
        for action, got in ((jnp.zeros(2), r"float32\[2\]"), (jnp.zeros((), int), r"int32\[\]")):
            with pytest.raises(ValueError, match=rf"num_envs=2: int32\[2\]; got {got}"):
                env.step(KEY, state, action)


BAD_ARGUMENTS = {
    "no environments": (lambda: from_gymnasium("CartPole-v1", 0), r"num_envs=.* from 1 to"),
    "arguments for a function": (
        lambda: from_gymnasium(Recorder, 1, {"length": 3}),
        "takes arguments for an id only.*got arguments={'length': 3}",
    ),
    "one for all": (
        lambda env=Recorder(): from_gymnasium(lambda: env, 2),
        "the same environment twice; it must make a new one",
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD_ARGUMENTS[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()


def test_unknown_names_are_explained():
    pytest.importorskip("popgym.envs", exc_type=ImportError)
    with pytest.raises(gymnasium.error.Error, match="CartPol"):
        from_gymnasium("CartPol-v1")
    with pytest.raises(ValueError, match="popgym-host/RepeatFirst; nearest: RepeatFirst"):
        from_popgym("RepeatFirst")


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "popgym.envs", None)
    with pytest.raises(ModuleNotFoundError, match=r'need popgym.* pip install "memoalg\[popgym\]"'):
        from_popgym("RepeatFirstEasy")
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(
        ModuleNotFoundError, match=r'need gymnasium; pip install "memoalg\[popgym\]"'
    ):
        from_gymnasium("CartPole-v1")


def test_what_was_made_is_closed_when_the_next_one_fails():
    made = []

    def one_good():
        if made:
            raise OSError("no more")
        made.append(Recorder())
        return made[0]

    with pytest.raises(OSError, match="no more"):
        from_gymnasium(one_good, 2)
    assert made[0].closed
