"""Parts of a measurement that run in processes of their own, so that none slows another or hides its memory.

A part is a module of this package with a function `part`; its arguments and what it tells are JSON, one line each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final, Self

from headwater.errors import BenchError

Figures = dict[str, Any]
"""What was measured, ready for JSON; a name ends in its unit."""

_PATIENCE_S: Final = 30.0


def tell(found: Figures) -> None:
    """Say something to the process that started this one."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


class Part:
    """One running part; ends with the block that started it."""

    def __init__(self, name: str, **arguments: Any) -> None:
        self._name = name
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "headwater.app.bench", name, json.dumps(arguments)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def told(self) -> Figures:
        """Return the next thing the part tells.

        Raises:
            BenchError: it ended without a word; its own words are on stderr.
        """
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise BenchError(f"The part {self._name!r} of the benchmark failed; see the lines above.")
        found: Figures = json.loads(line)
        return found


def run(name: str, **arguments: Any) -> Figures:
    """Return what a part found."""
    with Part(name, **arguments) as part:
        return part.told()
