"""The walk through docs/adding-a-destination.md works, and a file that was only put on the shelf is noticed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
WALK = (ROOT / "docs" / "adding-a-destination.md").read_text()
BLOCK = re.compile(r'```python title="(?P<path>[^"]+)"\n(?P<code>.*?)```', re.DOTALL)
CONFTEST = """
import headwater.destinations
headwater.destinations.__path__.append({shelf!r})
"""


@pytest.fixture
def newcomer(tmp_path):
    """Return a place like the repository, with the contract suite and what the walk adds to the shelf."""
    for name in ("contract/test_destination_contract.py", "rooms.py"):
        (tmp_path / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests" / name)
    for found in BLOCK.finditer(WALK):
        path = tmp_path / found["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found["code"])
    shelf = tmp_path / "src" / "headwater" / "destinations"
    (tmp_path / "conftest.py").write_text(CONFTEST.format(shelf=str(shelf)))
    return tmp_path


def ran(place: Path, *what: str) -> str:
    options = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-o", "pythonpath=tests")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(place), *what],
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_walk_touches_two_files():
    assert [found["path"] for found in BLOCK.finditer(WALK)] == [
        "src/headwater/destinations/ntfy.py",
        "tests/unit/destinations/test_ntfy.py",
    ]


def test_what_the_walk_makes_passes_its_test_and_the_contract_suite(newcomer):
    told = ran(newcomer, "tests", "-k", "ntfy or notification")
    assert "failed" not in told, told
    assert re.search(r"1[0-9] passed", told), told


def test_a_file_on_the_shelf_without_its_test_fails_the_contract_suite(newcomer):
    (newcomer / "tests" / "unit" / "destinations" / "test_ntfy.py").unlink()
    told = ran(newcomer, "tests/contract", "-k", "has_its_test and ntfy")
    assert "1 failed" in told, told
    assert "tests/unit/destinations/test_ntfy.py must exist and define EXAMPLE" in told
