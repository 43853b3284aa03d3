"""What people hand to commands in files: events, filters, mappings and code; bounded, and named where it is wrong."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

SAMPLES: Final = ("track", "email", "identify", "page", "screen", "group", "alias")
"""The sample events by name; a test holds them against `delivery.samples`."""

_STDIN: Final = "-"
_CHARS_MAX: Final = 1_000_000  # ours: more than the API takes in one request

event_option = click.option(
    "--event",
    metavar="EVENT",
    default="track",
    show_default=True,
    help=f"A JSON file, - for standard input, or a sample: {', '.join(SAMPLES)}.",
)


def text(path: str, option: str) -> str:
    """Return what a file or standard input has.

    Raises:
        UsageError: it cannot be read, is no text or too long; `option` says what it was given for.
    """
    try:
        with sys.stdin if path == _STDIN else Path(path).open(encoding="utf-8") as file:
            found = file.read(_CHARS_MAX + 1)
    except UnicodeDecodeError:
        raise click.UsageError(f"{option}: {path!r} is no text in UTF-8.") from None
    except OSError as error:
        raise click.UsageError(f"{option}: {path!r} cannot be read: {error.strerror or 'an error'}.") from None
    if len(found) > _CHARS_MAX:
        raise click.UsageError(f"{option}: {path!r} has more than {_CHARS_MAX:,} characters.")
    return found


def document(path: str, option: str) -> dict[str, Any]:
    """Return the JSON object that a file or standard input has.

    Raises:
        UsageError: as in `text`, or it is none.
    """
    try:
        found = json.loads(text(path, option))
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise click.UsageError(f"{option}: {path!r} is no JSON{where}.") from None
    if not isinstance(found, dict):
        raise click.UsageError(f"{option}: {path!r} is JSON, but no object.")
    return found


def event(given: str) -> dict[str, Any]:
    """Return the event that `--event` names.

    Raises:
        UsageError: as in `document`.
    """
    if given in SAMPLES:
        from headwater.delivery.samples import SAMPLES as EVENTS  # a command that needs none starts faster

        return dict(EVENTS[given])
    return document(given, "--event")


def members(path: str, known: tuple[str, ...], shown: tuple[str, ...]) -> dict[str, Any]:
    """Return the `known` members of a `--file`; those that the server sets (`shown`) are passed over.

    So what `show --json` prints can be edited and given back.

    Raises:
        UsageError: as in `document`, or it has another member.
    """
    found = document(path, "--file")
    if unknown := sorted(found.keys() - {*known, *shown}):
        raise click.UsageError(f"--file: unknown member {unknown[0][:40]!r}; known are: {', '.join(known)}.")
    return {name: value for name, value in found.items() if name in known}


def variable(name: str, option: str) -> str:
    """Return what a variable of the environment holds: secrets are not typed on a command line.

    Raises:
        UsageError: it is not set.
    """
    if name not in os.environ:
        raise click.UsageError(f"{option} {name}: the variable {name} is not set")
    return os.environ[name]
