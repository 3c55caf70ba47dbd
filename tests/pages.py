"""Run the Python blocks of a page of documentation, as a user would: `python -m tests.pages PAGE`.

Blocks of one page run in order and share their names. A `python` block is executed; a `pycon`
block (with prompts) is a doctest, output and error messages included.
"""

import doctest
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
# A training run in the documentation is as long as it must be to learn; here it need only run.
FEW_STEPS = "steps=16_384"


class Block(NamedTuple):
    """A fenced block: its language, the line on which its code begins, and the code."""

    language: str
    line: int
    code: str


def blocks_of(page: str) -> list[Block]:
    """The Python blocks of a page, given by its path in the repository."""
    text = (ROOT / page).read_text()
    fences = re.finditer(r"^```(python|pycon)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(f[1], text[: f.start()].count("\n") + 2, f[2]) for f in fences]


def run_page(page: str) -> dict[str, Any]:
    """Run a page's blocks; return the names that they defined."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.language == "pycon":
            _run_session(block, page, names)
        else:
            code = re.sub(r"\bsteps=[\d_]+", FEW_STEPS, block.code)
            # The empty lines make a traceback show the line of the page.
            exec(compile("\n" * (block.line - 1) + code, page, "exec"), names)
    return names


def _run_session(block: Block, page: str, names: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(block.code, names, page, page, block.line - 1)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.DocTestRunner(optionflags=flags).run(test, clear_globs=False)
    if failed:
        raise AssertionError(f"{page}: what is printed differs from what the page shows")
    names.update(test.globs)


if __name__ == "__main__":
    defined = run_page(sys.argv[1])
    sys.stdout.write(f"defined: {' '.join(n for n in defined if not n.startswith('__'))}\n")
