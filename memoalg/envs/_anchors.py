"""The returns that mark the scale of each task."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Anchors:
    """Mean undiscounted returns of one episode that mark the scale of a task.

    Args:
        random: of a uniformly random policy.
        optimal: the most that is possible, or the return of a policy that sees the whole state.
        memoryless: of the best policy known that sees the last observation only; None: unknown.
        errors: the standard errors of the three, in this order; 0 where a number is exact or unknown.
    """

    random: float
    optimal: float
    memoryless: float | None = None
    errors: tuple[float, float, float] = (0.0, 0.0, 0.0)


# Printed by `python -m benchmarks.anchors`, where formulas and policies are.
ANCHORS: dict[str, Anchors] = {
    "popgym/AutoencodeEasy": Anchors(-0.5, 1.0, -0.471154),
    "popgym/AutoencodeMedium": Anchors(-0.5, 1.0, -0.485577),
    "popgym/AutoencodeHard": Anchors(-0.5, 1.0, -0.490385),
    "popgym/BattleshipEasy": Anchors(-0.453768, 1.0, -0.453768, (0.0026, 0.0, 0.0026)),
    "popgym/BattleshipMedium": Anchors(-0.416605, 1.0, -0.416605, (0.0024, 0.0, 0.0024)),
    "popgym/BattleshipHard": Anchors(-0.400627, 1.0, -0.400627, (0.0024, 0.0, 0.0024)),
    "popgym/ConcentrationEasy": Anchors(-0.19392, 0.813697, 0.445942, (0.0016, 0.00057, 0.0029)),
    "popgym/ConcentrationMedium": Anchors(-0.186855, 0.812956, 0.46571, (0.0011, 0.00041, 0.002)),
    "popgym/ConcentrationHard": Anchors(-0.83637, 0.697655, -0.81905, (0.0014, 0.00039, 0.0016)),
    "popgym/CountRecallEasy": Anchors(-0.925926, 1.0, -0.923021),
    "popgym/CountRecallMedium": Anchors(-0.925926, 1.0, -0.924488),
    "popgym/CountRecallHard": Anchors(-0.882353, 1.0, -0.881216),
    "popgym/HigherLowerEasy": Anchors(0.0, 0.5276, 0.497041),
    "popgym/HigherLowerMedium": Anchors(0.0, 0.516103, 0.497041),
    "popgym/HigherLowerHard": Anchors(0.0, 0.511459, 0.497041),
    "popgym/LabyrinthEscapeEasy": Anchors(
        -0.411415, 0.978922, 0.950922, (0.0083, 7.7e-05, 0.00024)
    ),
    "popgym/LabyrinthEscapeMedium": Anchors(
        -0.829188, 0.965079, 0.903523, (0.0051, 0.00013, 0.00047)
    ),
    "popgym/LabyrinthEscapeHard": Anchors(
        -0.953111, 0.948956, 0.841308, (0.0027, 0.00019, 0.00077)
    ),
    "popgym/LabyrinthExploreEasy": Anchors(
        -0.354801, 0.969217, 0.96861, (0.0021, 0.00012, 0.00012)
    ),
    "popgym/LabyrinthExploreMedium": Anchors(
        -0.60917, 0.926823, 0.925193, (0.0014, 0.00017, 0.00016)
    ),
    "popgym/LabyrinthExploreHard": Anchors(
        -0.741431, 0.866882, 0.864719, (0.001, 0.00021, 0.00019)
    ),
    "popgym/MineSweeperEasy": Anchors(-0.225208, 1.0, -0.208685, (0.0052, 0.0, 0.0051)),
    "popgym/MineSweeperMedium": Anchors(-0.404006, 1.0, -0.404006, (0.0019, 0.0, 0.0019)),
    "popgym/MineSweeperHard": Anchors(-0.434466, 1.0, -0.434466, (0.0013, 0.0, 0.0013)),
    "popgym/MultiarmedBanditEasy": Anchors(0.0, 0.818182, 0.0906576, (0.0, 0.0, 0.002)),
    "popgym/MultiarmedBanditMedium": Anchors(0.0, 0.904762, 0.0954214, (0.0, 0.0, 0.002)),
    "popgym/MultiarmedBanditHard": Anchors(0.0, 0.935484, 0.0969316, (0.0, 0.0, 0.002)),
    "popgym/NoisyPositionOnlyCartPoleEasy": Anchors(
        0.112729, 1.0, 0.240974, (0.00096, 0.0, 0.0022)
    ),
    "popgym/NoisyPositionOnlyCartPoleMedium": Anchors(
        0.112729, 1.0, 0.196771, (0.00096, 0.0, 0.0018)
    ),
    "popgym/NoisyPositionOnlyCartPoleHard": Anchors(
        0.112729, 1.0, 0.167178, (0.00096, 0.0, 0.0016)
    ),
    "popgym/NoisyPositionOnlyPendulumEasy": Anchors(
        0.248425, 0.909173, 0.34682, (0.0028, 0.00089, 0.0037)
    ),
    "popgym/NoisyPositionOnlyPendulumMedium": Anchors(
        0.248425, 0.909173, 0.326588, (0.0028, 0.00089, 0.0029)
    ),
    "popgym/NoisyPositionOnlyPendulumHard": Anchors(
        0.248425, 0.909173, 0.321133, (0.0028, 0.00089, 0.0029)
    ),
    "popgym/PositionOnlyCartPoleEasy": Anchors(0.112185, 1.0, 0.249734, (0.00094, 0.0, 0.002)),
    "popgym/PositionOnlyCartPoleMedium": Anchors(0.0560925, 1.0, 0.124875, (0.00047, 0.0, 0.001)),
    "popgym/PositionOnlyCartPoleHard": Anchors(0.037395, 1.0, 0.0835327, (0.00031, 0.0, 0.00067)),
    "popgym/PositionOnlyPendulumEasy": Anchors(
        0.246443, 0.908399, 0.367497, (0.0028, 0.00088, 0.0045)
    ),
    "popgym/PositionOnlyPendulumMedium": Anchors(
        0.244195, 0.877866, 0.372697, (0.0028, 0.0012, 0.0046)
    ),
    "popgym/PositionOnlyPendulumHard": Anchors(
        0.242766, 0.816799, 0.372263, (0.003, 0.0018, 0.0045)
    ),
    "popgym/RepeatFirstEasy": Anchors(-0.5, 1.0, -0.499423),
    "popgym/RepeatFirstMedium": Anchors(-0.5, 1.0, -0.499991),
    "popgym/RepeatFirstHard": Anchors(-0.5, 1.0, -0.499998),
    "popgym/RepeatPreviousEasy": Anchors(-0.5, 1.0, -0.490196),
    "popgym/RepeatPreviousMedium": Anchors(-0.5, 1.0, -0.495146),
    "popgym/RepeatPreviousHard": Anchors(-0.5, 1.0, -0.496774),
    "popgym/VelocityOnlyCartPoleEasy": Anchors(0.112185, 1.0, 0.999805, (0.00094, 0.0, 0.0001)),
    "popgym/VelocityOnlyCartPoleMedium": Anchors(0.0560925, 1.0, 0.964645, (0.00047, 0.0, 0.0014)),
    "popgym/VelocityOnlyCartPoleHard": Anchors(0.037395, 1.0, 0.817758, (0.00031, 0.0, 0.0026)),
    "memory/AcrobotEasy": Anchors(-0.997938, -0.164565, -0.164565, (0.00035, 0.00072, 0.00072)),
    "memory/AcrobotMedium": Anchors(-0.997938, -0.164565, -0.573284, (0.00035, 0.00072, 0.0014)),
    "memory/AcrobotHard": Anchors(-0.997938, -0.164565, -0.579016, (0.00035, 0.00072, 0.0016)),
    "memory/CartPoleEasy": Anchors(0.0450918, 1.0, 1.0, (0.00038, 0.0, 0.0)),
    "memory/CartPoleMedium": Anchors(0.0450918, 1.0, 0.100958, (0.00038, 0.0, 0.00087)),
    "memory/CartPoleHard": Anchors(0.0450918, 1.0, 0.101859, (0.00038, 0.0, 0.00089)),
    "memory/MemoryChainEasy": Anchors(0.0, 1.0, 0.0),
    "memory/MemoryChainMedium": Anchors(0.0, 1.0, 0.0),
    "memory/MemoryChainHard": Anchors(0.0, 1.0, 0.0),
    "memory/MetaBanditEasy": Anchors(0.5, 0.666667, 0.589726),
    "memory/MetaBanditMedium": Anchors(0.5, 0.833333, 0.687506, (0.0, 0.0, 0.0029)),
    "memory/MetaBanditHard": Anchors(0.5, 0.909091, 0.741582, (0.0, 0.0, 0.0023)),
    "memory/MountainCarEasy": Anchors(-1.0, -0.597337, -0.597337, (0.0, 0.00029, 0.00029)),
    "memory/MountainCarMedium": Anchors(-1.0, -0.597337, -1.0, (0.0, 0.00029, 0.0)),
    "memory/MountainCarHard": Anchors(-1.0, -0.597337, -1.0, (0.0, 0.00029, 0.0)),
    "memory/NBackEasy": Anchors(0.0, 1.0, 0.0),
    "memory/NBackMedium": Anchors(0.0, 1.0, 0.0),
    "memory/NBackHard": Anchors(0.0, 1.0, 0.0),
    "memory/PendulumEasy": Anchors(0.248425, 0.909173, 0.909173, (0.0028, 0.00089, 0.00089)),
    "memory/PendulumMedium": Anchors(0.248425, 0.909173, 0.371036, (0.0028, 0.00089, 0.0044)),
    "memory/PendulumHard": Anchors(0.248425, 0.909173, 0.34682, (0.0028, 0.00089, 0.0037)),
    "memory/RoomMemoryEasy": Anchors(0.185726, 1.0, 0.5),
    "memory/RoomMemoryMedium": Anchors(0.0311218, 1.0, 0.5),
    "memory/RoomMemoryHard": Anchors(4.67984e-05, 1.0, 0.5),
    "memory/TMazeEasy": Anchors(-1.24156, 1.0, 0.4875),
    "memory/TMazeMedium": Anchors(-9.23806, 1.0, 0.4875),
    "memory/TMazeHard": Anchors(-38.3864, 1.0, 0.4875),
    "memory/TraceConditioningEasy": Anchors(-0.61, 0.94, 0.0),
    "memory/TraceConditioningMedium": Anchors(-0.71, 0.94, 0.0),
    "memory/TraceConditioningHard": Anchors(-0.91, 0.94, 0.0),
}
