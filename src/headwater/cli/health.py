"""How destinations do at the moment, printed: a line each, and below what somebody should know about one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from headwater.cli import printing

Thing = dict[str, Any]


def joined(destinations: Sequence[Thing], connections: Sequence[Thing]) -> list[Thing]:
    """Return what the engine says of each destination, with its name, in the destinations' order.

    One that was made a moment ago may not be there yet.
    """
    known = {each["destinationId"]: each for each in connections}
    return [{"name": each["name"], **known[each["id"]]} for each in destinations if each["id"] in known]


def show(found: Sequence[Thing]) -> None:
    """Print them."""
    heads = ("name", "state", "read", "delivered", "filtered", "pending", "dead letters", "p95 s")
    printing.table(heads, [_row(each) for each in found], empty="There is nothing to deliver to yet.")
    for each in found:
        for warning in each["warnings"]:
            name = click.style(printing.text_of(each["name"]), bold=True)
            click.echo(f"{name}: {printing.text_of(warning['message'], None)}")
        if each["lastError"] and each["pending"]:
            click.echo(f"{printing.text_of(each['name'])}, last error: {printing.text_of(each['lastError'], None)}")


def _row(each: Thing) -> list[Any]:
    delivered = each["deliveredFirstTry"] + each["deliveredOnRetry"]
    slow = None if each["p95S"] is None else round(each["p95S"], 3)
    filtered = sum(each["filtered"].values())
    return [each["name"], each["state"], each["read"], delivered, filtered, each["pending"], each["dead"], slow]
