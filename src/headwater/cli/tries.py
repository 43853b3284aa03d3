"""How one try of a destination or a function is printed: each request and its answer, and how it ended."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from headwater.cli import printing

SENTENCES: Final = {
    "delivered": "Delivered.",
    "skipped": "Not sent: this destination has nothing to do with it.",
    "filtered": "Not sent: it is filtered before it gets there.",
    "retry": "Not delivered; it would be tried again later.",
    "discarded": "Not delivered; it would become a dead letter.",
    "unauthorized": "Not delivered: the credentials are refused; the destination would be paused.",
}
FAILURES: Final = frozenset({"retry", "discarded", "unauthorized"})


def show(tried: dict[str, Any]) -> None:
    """Print how a try of a destination ended, after its requests and their answers."""
    for exchange in tried["exchanges"]:
        click.echo(click.style(printing.text_of(f"{exchange['method']} {exchange['url']}", None), bold=True))
        printing.block(exchange["request"])
        status = "no answer" if exchange["status"] is None else f"HTTP {exchange['status']}"
        click.echo(click.style(f"{status} after {exchange['durationMs']:,} ms", bold=True))
        printing.block(exchange["answer"])
        click.echo()
    if not tried["exchanges"] and tried["sent"] is not None:
        click.echo(click.style("What the destination was given", bold=True))
        printing.block(json.dumps(tried["sent"]))
        click.echo()
    click.echo(SENTENCES.get(tried["outcome"], tried["outcome"]))
    for line in (tried["reason"], tried.get("advice")):
        if line:
            click.echo(printing.text_of(line, None))


def show_run(ended: dict[str, Any]) -> None:
    """Print how a run of a function ended, after what it wrote to the console."""
    for line in ended["log"]:
        click.echo(f"console: {printing.text_of(line, None)}")
    message = f": {printing.text_of(ended['message'], None)}" if ended["message"] else ""
    click.echo(f"{ended['kind'].capitalize()}{message}.".replace("..", "."))
    if ended["value"] is not None:
        printing.as_json(ended["value"])
