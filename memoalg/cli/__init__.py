"""The command line: `memoalg train`, `eval`, `plot`, `explain`, `envs`, `models`."""

from ._main import main as main
