"""The environment of tests and doctests, prepared before anything starts jax.

`JAX_PLATFORMS` may be set from outside to run the suite on another device.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# gymnasium and popgym may import pygame and matplotlib: neither needs a screen.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
# Compiling is what the suite's time goes into: less of it where LLVM does not optimise and XLA emits
# loops the plain way. Processes that tests start inherit it: their numbers are compared bit for bit.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false",
)
