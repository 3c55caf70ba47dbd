"""How every test runs: on the CPU, with jax's strict modes on, annotations of the library enforced.

The environment of the processes is prepared in the root's `conftest.py`. The annotations of `memoalg`
are enforced by jaxtyping's import hook (`addopts` in `pyproject.toml`); a test of what a *user* is told,
who has no such hook, asks for the fixture `without_hook`.
"""

import gc
import resource

import hypothesis
import jax
import jaxtyping
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# A first call compiles: hypothesis must not take that for a slow example. Examples are the same in
# every run, so that a red test is red again.
hypothesis.settings.register_profile(
    "memoalg",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("memoalg")


@pytest.fixture
def without_hook():
    """Run as a user does: the library's own checks speak, not the annotations of its signatures."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


LARGE = 4_000_000_000  # bytes


def resident() -> int:
    """Bytes of memory that this process holds; its maximum so far where there is no /proc."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture(scope="module", autouse=True)
def forgotten_programs():
    """Drops what was compiled once a process has grown large: it would go on to many gigabytes."""
    yield
    # What it holds now: by the most it ever held, every later module would compile all anew.
    if resident() > LARGE:
        jax.clear_caches()
        gc.collect()
