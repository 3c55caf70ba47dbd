"""Vectors in equal parts, one for each head."""

from jaxtyping import Array, Shaped


def split_heads(x: Shaped[Array, " size"], heads: int) -> Shaped[Array, "heads part"]:
    """Equal parts, stacked."""
    return x.reshape(heads, -1)


def check_heads(name: str, heads: int, /, **sizes: int) -> None:
    """Raises ValueError where a size does not divide into the heads."""
    for what, size in sizes.items():
        if heads < 1 or size < 1 or size % heads:
            raise ValueError(
                f"{name}: {what}={size} must be a positive multiple of heads={heads}: "
                "each head gets an equal part"
            )


def heads_for(width: int, head_size: int = 16) -> int:
    """The most heads, of at least `head_size` numbers each, into which a width divides; at least 1."""
    return max(n for n in range(1, max(1, width // head_size) + 1) if width % n == 0)
