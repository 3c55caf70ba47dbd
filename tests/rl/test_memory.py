"""What does not fit into memory is said before anything runs, with what to lower."""

import jax
import jax.numpy as jnp
import pytest

from memoalg import rl
from memoalg.rl import RunFolder, _memory
from memoalg.rl._layout import Layout
from memoalg.rl._memory import MemoryUse, check_memory, memory_limit, memory_use, state_use
from memoalg.rl._population import Population

from .fake_algorithm import FRAMES, FakeAlgorithm
from .test_fit import Script, fit

ONE = Layout(1, True)
USE = MemoryUse(600_000, 300_000, 100_000)


@pytest.fixture
def limit(monkeypatch):
    """Sets the limit, in bytes."""

    def change(nbytes):
        monkeypatch.setattr(_memory, "memory_limit", lambda: nbytes)

    return change


def test_of_a_known_program():
    """The argument is donated: the output takes its place, the intermediate product does not."""
    program = jax.jit(lambda x: (x @ x.T) @ x, donate_argnums=0)
    compiled = program.lower(jax.ShapeDtypeStruct((64, 32), jnp.float32)).compile()
    use = memory_use([compiled])
    assert use is not None
    assert use.arguments == 64 * 32 * 4
    assert use.outputs == 0
    assert 64 * 64 * 4 <= use.temporaries <= 4 * 64 * 64 * 4
    small = jax.jit(jnp.sin).lower(jax.ShapeDtypeStruct((2,), jnp.float32)).compile()
    assert memory_use([small, compiled]) == use  # they run one after another


class Silent:
    def memory_analysis(self):
        return None


def test_a_compiler_that_does_not_say():
    assert memory_use([Silent()]) is None


def test_of_a_state_before_anything_is_compiled():
    shapes = {
        "x": jax.ShapeDtypeStruct((10, 4), jnp.float32),
        "key": jax.eval_shape(jax.random.key, 0),
    }
    assert state_use(shapes, ONE).total == 168
    assert state_use(shapes, Layout(2, False, (jax.devices()[0],) * 2)).total == 84


def test_the_limit_here_is_that_of_the_machine():
    nbytes = memory_limit()
    assert nbytes is not None
    assert 1e8 < nbytes < 1e14


def test_a_container_has_less(tmp_path, monkeypatch):
    path = tmp_path / "memory.max"
    monkeypatch.setattr(_memory, "_CGROUP_LIMIT", path)
    machine = memory_limit()
    path.write_text("123456\n")
    assert memory_limit() == 123456
    path.write_text("max\n")
    assert memory_limit() == machine


def test_what_fits_is_one_line(limit):
    limit(2_000_000)
    assert check_memory(USE, ONE) == (
        "memory: state 600.0 kB + temporaries 300.0 kB + outputs 100.0 kB = 1.0 MB of 2.0 MB"
    )
    limit(None)
    assert check_memory(USE, ONE).endswith("= 1.0 MB")


@pytest.mark.parametrize(
    ("layout", "seeds"),
    [(ONE, ""), (Layout(8, True), "seeds or swept values, ")],
    ids=["one", "one after another"],
)
def test_what_does_not_fit_says_what_to_lower(layout, seeds, limit):
    limit(900_000)
    message = (
        f"1.0 MB of 900.0 kB: that does not fit; lower {seeds}num_envs, num_steps, the network"
    )
    with pytest.raises(rl.FitArgumentError, match=message):
        check_memory(USE, layout)


def test_members_side_by_side_are_named_first(limit):
    limit(10)
    with pytest.raises(rl.FitArgumentError, match=r"lower seeds or swept values \(8 members run"):
        check_memory(USE, Layout(8, False))


def test_forced_cpu_devices_share_one_memory(limit):
    limit(1_500_000)
    with pytest.raises(rl.FitArgumentError, match="on each of 2 devices: that does not fit"):
        check_memory(USE, Layout(8, False, (jax.devices("cpu")[0],) * 2))


def test_fit_says_it_before_the_first_step(monkeypatch):
    said = []
    progress = Script(0, None)
    monkeypatch.setattr(progress, "message", said.append)
    fit(steps=FRAMES, progress=progress)
    assert [line.split()[0] for line in said] == ["32", "compiling", "compiled", "memory:", "32"]


@pytest.mark.parametrize("nbytes", [50, 1000], ids=["state", "temporaries"])
def test_fit_refuses_before_it_runs(nbytes, limit, tmp_path, without_hook):
    """The state alone is too large before anything is compiled or written; the rest is known after."""
    population = Population(FakeAlgorithm(), seeds=2)
    limit(nbytes)
    with pytest.raises(rl.FitArgumentError, match="that does not fit; lower seeds or swept"):
        fit(population, checkpoint_dir=tmp_path)
    assert RunFolder(tmp_path).exists() == (nbytes == 1000)
    assert RunFolder(tmp_path).metric_rows() == [] if nbytes == 1000 else True
