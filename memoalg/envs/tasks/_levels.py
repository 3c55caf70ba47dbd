"""Names of a family's members: an id for Easy, Medium, Hard, a constructor call for others."""

LEVELS = ("Easy", "Medium", "Hard")


def level_name(
    family: str, arguments: tuple, levels: tuple[tuple, ...], suite: str = "popgym"
) -> str:
    """`popgym/RepeatFirstEasy` where the arguments are those of a level, else a call's text."""
    if arguments in levels:
        return f"{suite}/{family}{LEVELS[levels.index(arguments)]}"
    return f"{suite}/{family}({', '.join(map(repr, arguments))})"
