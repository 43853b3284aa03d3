"""Find what stands on a shelf: each module or folder of a package, by its name.

There is no list to edit. The name of a file is the name in the web app, the CLI, the settings and the metrics.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

CONTRACT = "contract"


def names(shelf: str) -> list[str]:
    """Return the names on a shelf, sorted, without its contract and what entries share (`_...`); imports none of them.

    Args:
        shelf: the package, such as "headwater.destinations".
    """
    package = importlib.import_module(shelf)
    return sorted(
        entry.name
        for entry in pkgutil.iter_modules(package.__path__)
        if entry.name != CONTRACT and entry.name[0] != "_"
    )


def take(shelf: str, name: str) -> ModuleType:
    """Return the module called `name` from a shelf.

    Raises:
        KeyError: nothing of this name stands there.
    """
    if name not in names(shelf):
        raise KeyError(name)
    return importlib.import_module(f"{shelf}.{name}")
