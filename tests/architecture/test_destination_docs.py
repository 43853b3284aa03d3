"""docs/destinations/ says what the shelf says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def checked(*options: str) -> subprocess.CompletedProcess:
    tool = [sys.executable, str(ROOT / "tools" / "destination_pages.py"), *options]
    return subprocess.run(tool, capture_output=True, text=True, check=False)


def test_every_page_is_made_from_the_shelf():
    done = checked("--check")
    assert (done.returncode, done.stdout) == (0, "")


def test_an_unknown_option_writes_nothing():
    assert checked("--help").returncode == 2
