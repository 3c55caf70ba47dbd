"""How the programs of laws are compiled: quickly."""

import functools
from typing import Any

import jax

# A program of laws is large and runs once: making it fast costs more than it saves. These names are
# XLA's and not jax's: a version that does not know one goes without it.
_WANTED: dict[str, Any] = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
}


@functools.cache
def compiler_options() -> dict[str, Any]:
    """Options for `jax.jit`, of which every one is known here."""
    return {name: value for name, value in _WANTED.items() if _is_known({name: value})}


def _is_known(options: dict[str, Any]) -> bool:
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" in str(error):
            return False
        raise
    return True
