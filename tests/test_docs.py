"""The documentation is run: every Python block of the README and of the pages below.

Each page runs in a process of its own, as a user would run it: without the strict modes of the
other tests. Warnings are errors here too.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.environments import pages
from docs.models import pages as model_pages
from tests.pages import ROOT, Block, blocks_of

FOLDERS = (
    "docs/*.md",
    "docs/devdocs/*.md",
    "docs/environments/*.md",
    "docs/models/*.md",
    "docs/api/tasks.md",
)
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [ROOT / "README.md", *(path for folder in FOLDERS for path in ROOT.glob(folder))]
    if "```py" in path.read_text()
)
# `train_model.py` has a test of its own, in tests/tasks.
EXAMPLES = [ROOT / "examples/own_memory.py"]


def run(folder: Path, *arguments: str) -> str:
    """Run Python in `folder`, warnings as errors; return what it printed."""
    # Compiled as a user's programs are, and not as those of the tests.
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**plain, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page, tmp_path):
    assert re.search(r"^defined: \w", run(tmp_path, "-m", "tests.pages", page), re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example, tmp_path):
    assert "evaluation return" in run(tmp_path, str(example), "16_384")


def code_lines(block: Block) -> list[str]:
    return [line for line in block.code.splitlines() if line.strip()]


def test_the_readme_programs_are_as_short_as_promised():
    monoid, agent = blocks_of("README.md")
    assert len(code_lines(monoid)) <= 12
    assert len(code_lines(agent)) <= 6


def test_the_getting_started_page_holds_both_readme_programs():
    page = (ROOT / "docs/getting-started.md").read_text()
    for block in blocks_of("README.md"):
        assert block.code in page


def test_the_readme_has_two_commands_and_ci_finds_the_second():
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert [command.count("\n") for command in commands] == [1, 1]
    assert "memoalg train" in commands[0]
    assert re.search(r"<!-- test command -->\n```sh\n" + re.escape(commands[1]), readme)
    assert "pytest" in commands[1]


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_pictures_of_a_page_exist(page):
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / page).read_text())
    assert pictures
    missing = [p for p in pictures if not ((ROOT / page).parent / p).is_file()]
    assert not missing


def test_the_pages_of_the_environments_are_what_their_program_writes():
    found = {path.name: path.read_text() for path in (ROOT / "docs/environments").glob("*.md")}
    assert found == pages()
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert [name for name in found if f"environments/{name}" not in navigation] == []
    pictures = [re.search(r"!\[[^\]]*\]\(([^)]+)\)", text) for text in found.values()]
    shown = [ROOT / "docs/environments" / picture[1] for picture in pictures if picture]
    assert len(shown) == len(found) - 1  # the table of all has none
    assert all(path.is_file() for path in shown)


def test_the_pages_of_the_models_are_what_their_program_writes():
    found = {path.name: path.read_text() for path in (ROOT / "docs/models").glob("*.md")}
    assert found == model_pages()
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert [name for name in found if f"models/{name}" not in navigation] == []


@pytest.mark.parametrize("page", ["gallery", "performance", "learning"])
def test_a_page_is_what_its_program_prints(page):
    assert run(ROOT, "-m", f"docs.{page}") == (ROOT / f"docs/{page}.md").read_text()
