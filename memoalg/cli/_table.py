"""Plain tables."""

from collections.abc import Sequence


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, as wide as their longest entry.

    >>> print(table(["name", "value"], [["a", "1"]]))
    name  value
    a     1
    """
    columns = list(zip(titles, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join(f"{x:<{w}}" for x, w in zip(r, widths, strict=True)) for r in (titles, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)
