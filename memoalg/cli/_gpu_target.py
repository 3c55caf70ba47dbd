"""GPUs for which programs are compiled, without having one."""

import contextlib
import dataclasses
import functools
import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

PLUGINS = ("jax_plugins.xla_cuda12", "jax_plugins.xla_cuda13")


class NoCompilerError(ModuleNotFoundError):
    """The compiler for CUDA is not installed."""


@dataclasses.dataclass(frozen=True)
class Target:
    """What XLA must know of a GPU; figures are of one device, sizes in bytes.

    Attributes:
        name: as the driver says it.
        capability: compute capability.
        cores: multiprocessors.
        shared_per_core: shared memory of a multiprocessor.
        shared_per_block: the most of it that one block may ask for.
        lanes_per_core: float32 operations that a multiprocessor begins in a cycle, halved.
        bandwidth: of the device's memory, bytes a second.
        cache: the L2 cache.
        memory: of the device.
        clock: in GHz.
    """

    name: str
    capability: tuple[int, int]
    cores: int
    shared_per_core: int
    shared_per_block: int
    lanes_per_core: int
    bandwidth: int
    cache: int
    memory: int
    clock: float

    def describe(self) -> str:
        """The text of XLA's `GpuTargetConfigProto`."""
        major, minor = self.capability
        # sm_90a instead of sm_90: Mosaic's kernels use what only that one GPU has.
        feature = " feature_extension: ACCELERATED_FEATURES" if major >= 9 else ""
        return f"""
            gpu_device_info {{
              threads_per_block_limit: 1024
              threads_per_warp: 32
              threads_per_core_limit: 2048
              shared_memory_per_block: 49152
              shared_memory_per_core: {self.shared_per_core}
              shared_memory_per_block_optin: {self.shared_per_block}
              core_count: {self.cores}
              fpus_per_core: {self.lanes_per_core}
              block_dim_limit_x: 2147483647
              block_dim_limit_y: 65535
              block_dim_limit_z: 65535
              memory_bandwidth: {self.bandwidth}
              l2_cache_size: {self.cache}
              clock_rate_ghz: {self.clock}
              device_memory_size: {self.memory}
              registers_per_core_limit: 65536
              registers_per_block_limit: 65536
              cuda_compute_capability {{ major: {major} minor: {minor}{feature} }}
            }}
            platform_name: "CUDA"
            dnn_version_info {{ major: 9 minor: 10 }}
            runtime_version {{ major: 12 minor: 9 }}
            device_description_str: "{self.name}"
        """


TARGETS = {
    "a100": Target(
        name="NVIDIA A100-SXM4-80GB",
        capability=(8, 0),
        cores=108,
        shared_per_core=167_936,
        shared_per_block=166_912,
        lanes_per_core=64,
        bandwidth=2_039_000_000_000,
        cache=41_943_040,
        memory=84_987_740_160,
        clock=1.41,
    ),
    "h100": Target(
        name="NVIDIA H100 80GB HBM3",
        capability=(9, 0),
        cores=132,
        shared_per_core=233_472,
        shared_per_block=232_448,
        lanes_per_core=128,
        bandwidth=3_352_320_000_000,
        cache=52_428_800,
        memory=84_942_979_072,
        clock=1.98,
    ),
}


def sharding_on(target: str | Target) -> SingleDeviceSharding:
    """Where arrays lie that are on such a GPU: for compiling only, nothing can be put there.

    Args:
        target: a name out of `TARGETS`, or a description.

    Raises:
        NoCompilerError: the compiler is not installed; says what to install.
        ValueError: there is no target of that name.
    """
    if isinstance(target, str) and target not in TARGETS:
        raise ValueError(f"unknown target {target!r}; there are {', '.join(TARGETS)}")
    return SingleDeviceSharding(_device(TARGETS[target] if isinstance(target, str) else target))


@functools.cache
def _device(target: Target) -> Any:
    plugin = installed_compiler()
    if plugin is None:
        raise NoCompilerError(f"compiling for a GPU needs its compiler: {how_to_install()}")
    try:
        return _describe(target)
    except NotImplementedError:
        # On a machine without a driver jax passes the plugin over, unless other platforms were asked
        # for. It is wanted as a compiler alone.
        with platforms_set_to("cpu"):
            importlib.import_module(plugin).initialize()
    try:
        return _describe(target)
    except NotImplementedError:
        raise NoCompilerError(
            f"jax {jax.__version__} cannot use the compiler in {plugin}: {how_to_install()}"
        ) from None


def _describe(target: Target) -> Any:
    description = topologies.get_topology_desc(
        "", platform="cuda", target_config=target.describe(), topology="1x1x1"
    )
    return description.devices[0]


@contextlib.contextmanager
def platforms_set_to(platforms: str) -> Iterator[None]:
    """While inside, jax uses these platforms where it has not yet looked for any."""
    before = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_platforms", platforms)
    try:
        yield
    finally:
        jax.config.update("jax_platforms", before)


def installed_compiler() -> str | None:
    """The module of the CUDA plugin; None where there is none."""
    if find_spec("jax_plugins") is None:
        return None
    return next((name for name in PLUGINS if find_spec(name) is not None), None)


def how_to_install() -> str:
    """What to type; no driver and none of the CUDA libraries are needed."""
    # The last plugin for CUDA 12 is that of jax 0.10.
    cuda = 12 if jax.__version_info__ < (0, 11) else 13
    packages = [f"jax-cuda{cuda}-{part}=={jax.__version__}" for part in ("plugin", "pjrt")]
    return f"pip install absl-py {' '.join(packages)}"
