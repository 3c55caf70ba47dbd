"""The command line: `memoalg train`, `eval`, `plot`, `explain`, `check`, `bench`, `envs`, `models`."""

from ._gpu_counts import Counts as Counts
from ._gpu_counts import count as count
from ._gpu_target import NoCompilerError as NoCompilerError
from ._gpu_target import Target as Target
from ._main import main as main
