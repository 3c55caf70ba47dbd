"""Shapes and dtypes of one rollout, checked once for all returns."""

import jax.numpy as jnp
from jaxtyping import Array


def check_rollout(reals: dict[str, Array], flags: dict[str, Array]) -> None:
    """All of one shape (time,), reals floating, flags bool."""
    for name, flag in flags.items():
        if jnp.result_type(flag) != jnp.bool_:
            raise TypeError(
                f"{name} must be bool (time,), got {jnp.result_type(flag).name}: write "
                f"{name}.astype(bool)"
            )
    for name, real in reals.items():
        if not jnp.issubdtype(jnp.result_type(real), jnp.floating):
            raise TypeError(f"{name} must be floating, got {jnp.result_type(real).name}")
    shapes = {name: jnp.shape(array) for name, array in (reals | flags).items()}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
        raise ValueError(
            f"a return takes arrays of one shape (time,), got {shapes}; for a batch wrap the call in "
            "jax.vmap"
        )
