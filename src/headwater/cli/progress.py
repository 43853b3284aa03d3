"""How a command waits for a run of the server: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final

import click

Run = dict[str, Any]
OVER: Final = frozenset({"done", "failed", "cancelled"})

_LOOK_S: Final = 1.0
_LINE_S: Final = 10.0  # where nothing can be rewritten
_SILENT_S_MAX: Final = 120.0  # a server that restarts is waited for; the run goes on afterwards
_BAR_CHARS: Final = 24
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600


def follow(look: Callable[[], Run], *, hint: str, tell: Callable[[Run], str] | None = None) -> Run:
    """Return the run once it is over, with its progress on stderr meanwhile.

    Args:
        look: asks the server for the run as it is; may raise ClickException while the server is away.
        hint: what to do when this command is left before the run is over.
        tell: a run in one line; `described` by default.

    Raises:
        ClickException: the server has been away for too long.
        Exit: with status 1, after Ctrl-C; the run goes on.
    """
    line, tell = _Line(), tell or described
    heard = time.monotonic()
    try:
        while True:
            try:
                run = look()
                heard = time.monotonic()
                line.show(tell(run))
                if run["state"] in OVER:
                    return run
            except click.ClickException:
                if time.monotonic() - heard > _SILENT_S_MAX:
                    raise
                line.show("The server does not answer; waiting for it.")
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        line.end()
        click.echo(f"It goes on in the server. {hint}", err=True)
        raise click.exceptions.Exit(1) from None
    finally:
        line.end()


def described(run: Run) -> str:
    """Return one line: bar, campaigns, rows, calls and about how long it will take."""
    total, done = run["campaigns"]["total"], run["campaigns"]["done"]
    parts = [
        bar(done, total),
        f"{done:,}/{total:,} campaigns",
        f"{run['rows']:,} rows",
        f"{run['calls']:,} calls",
    ]
    if run["state"] == "waiting":
        parts.append(run.get("message") or "waiting")
    elif run.get("etaS") and run["state"] not in OVER:
        parts.append(f"{about(run['etaS'])} left")
    return "  ".join(parts)


def bar(done: int, total: int) -> str:
    """Return a bar as far as `done` is of `total`; empty when there is nothing to do."""
    filled = _BAR_CHARS * done // total if total else 0
    return f"[{'#' * filled}{'.' * (_BAR_CHARS - filled)}]"


def about(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"


class _Line:
    """One line of stderr, written over on a terminal; elsewhere a new line when enough time has gone by."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._shown, self._at = "", -_LINE_S

    def show(self, text: str) -> None:
        if self._is_terminal:
            click.echo(f"\r{text.ljust(len(self._shown))}", nl=False, err=True)
            self._shown = text
        elif time.monotonic() - self._at >= _LINE_S and text != self._shown:
            click.echo(text, err=True)
            self._shown, self._at = text, time.monotonic()

    def end(self) -> None:
        if self._is_terminal and self._shown:
            click.echo(err=True)
            self._shown = ""
