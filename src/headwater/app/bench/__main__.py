"""`python -m headwater.app.bench PART ARGUMENTS`: one part of a measurement, in this process; see `parts`."""

from __future__ import annotations

import importlib
import json
import sys

from headwater.app.bench.parts import tell


def main() -> None:
    """Run the part that was asked for and tell what it found."""
    name, arguments = sys.argv[1:]
    found = importlib.import_module(f"headwater.app.bench.{name}").part(**json.loads(arguments))
    if found is not None:
        tell(found)


if __name__ == "__main__":
    main()
