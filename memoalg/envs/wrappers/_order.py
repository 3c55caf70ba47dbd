"""Which wrapper goes inside which, and why."""

ORDER = (
    *("StickyAction", "TimeLimit", "Markovian", "ObservationNoise", "Mask"),
    *("PreviousAction", "EpisodeStart", "Flatten", "NormaliseObservation"),
    *("DiscreteAction", "EpisodeStatistics", "NormaliseReward"),
)
"""One order of all wrappers that is right, from the inside to the outside."""

_SHOWN = ("PreviousAction", "EpisodeStart", "Flatten")

# A wrapper, those that it must be inside of, and the reason. Pairs that are not here may be nested
# either way round. The order of the first three is the reference's.
RULES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "PreviousAction",
        ("EpisodeStart", "Flatten"),
        "the flag comes last, and both are encoded with the observation",
    ),
    ("EpisodeStart", ("Flatten",), "the flag is encoded with the observation"),
    (
        "PreviousAction",
        ("DiscreteAction",),
        "it shows the action's parts, which need fewer features than their product",
    ),
    ("StickyAction", ("PreviousAction",), "an agent knows what it chose, not what was carried out"),
    (
        "StickyAction",
        ("Markovian",),
        "the action that may be repeated is a part of the hidden state",
    ),
    ("TimeLimit", ("Markovian",), "the clock is a part of the hidden state"),
    (
        "Markovian",
        (*_SHOWN, "NormaliseObservation"),
        "the state that it shows is encoded with the observation",
    ),
    (
        "Markovian",
        ("EpisodeStatistics", "NormaliseReward"),
        "what they count is no part of the process",
    ),
    ("ObservationNoise", (*_SHOWN, "NormaliseObservation"), "only what is measured is noisy"),
    ("Mask", (*_SHOWN, "NormaliseObservation"), "its indices count the environment's own entries"),
    ("EpisodeStatistics", ("NormaliseReward",), "it adds up the rewards as the task gives them"),
)


def check_order(outer: str, inside: tuple[str, ...]) -> None:
    """Refuse a wrapper that would have to be further inside, or is there already.

    Args:
        outer: the class name of the new wrapper.
        inside: those of the wrappers inside it.

    Raises:
        ValueError: with the right way to write it.
    """
    if outer in ORDER and outer in inside:
        raise ValueError(f"{outer} is applied twice; once is enough")
    for wrapper, others, reason in RULES:
        wrong = [name for name in inside if wrapper == outer and name in others]
        if wrong:
            raise ValueError(
                f"{outer}({wrong[0]}(...)) is the wrong order: {outer} must be inside {wrong[0]}. "
                f"Write {wrong[0]}({outer}(env)): {reason}"
            )
