"""Which optional parts of Headwater are installed: `pip install "headwater[postgres]"` brings `postgres`."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import metadata
from typing import Final

_NAME: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<extras>[^\]]*)\])?")
_DEPTH_MAX: Final = 4  # ours: an extra of an extra of an extra


@lru_cache(maxsize=64)
def is_installed(extra: str) -> bool:
    """Return whether everything is there that an extra of Headwater asks for; also where nobody can tell.

    Source: Python packaging, core metadata, `Requires-Dist`.
    """
    return not extra or _has("headwater", extra, _DEPTH_MAX)


def _has(distribution: str, extra: str, depth: int) -> bool:
    try:
        required = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return distribution == "headwater"  # run from its sources: pip knows nothing about it
    asked = re.compile(rf"extra == ['\"]{re.escape(extra)}['\"]\s*$")
    for requirement in required:
        specifier, _, marker = requirement.partition(";")
        if not asked.fullmatch(marker.strip()):  # also what only some machines need
            continue
        found = _NAME.match(specifier)
        if found and not _is_whole(found["name"], found["extras"] or "", depth):
            return False
    return True


def _is_whole(distribution: str, extras: str, depth: int) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return depth == 0 or all(_has(distribution, each.strip(), depth - 1) for each in extras.split(",") if each.strip())
