"""`headwater bench`: the project's own benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

MEASUREMENTS: Final = ("accept", "load", "throughput", "latency", "idle")


@click.command()
@click.option("--only", type=click.Choice(MEASUREMENTS), multiple=True, help="Measure this; may be given again.")
@click.option("--quick", is_flag=True, help="Small sizes, 30 seconds: shows that it works, not how fast.")
@click.option("--data-dir", metavar="DIR", help="Write here, to measure another disk (default: temporary directory).")
@click.option("--json", "json_", is_flag=True, help="Print every figure as JSON.")
def command(*, only: tuple[str, ...], quick: bool, data_dir: str | None, json_: bool) -> None:
    """Measure this machine: what the program does, beside limits that are measured in the same run.

    Takes about two minutes and up to 3 GB of disk, which it gives back. Exits 0 whether targets are met or not, and 1
    if anything was lost or doubled.

    \b
    Example:
      headwater bench
      headwater bench --only accept --data-dir /mnt/fast
    """
    from headwater.app.bench.run import run
    from headwater.cli import printing

    found = run(only, data_dir, lambda doing: click.echo(doing, err=True), quick=quick)
    if json_:
        printing.as_json(found)
        return
    _show(found)


def _show(found: Mapping[str, Any]) -> None:
    from headwater.cli import printing

    machine, disk = found["machine"], found["machine"]["fdatasync"]
    printing.facts(
        [
            ("version", f"{found['version']} {(found['commit'] or '')[:12]}".strip()),
            ("machine", f"{machine['cpus']} cores, {machine['cpu']}, Python {machine['python']}, {machine['system']}"),
            ("disk", f"4 KB to the disk: p50 {disk['p50_ms']} ms, p99 {disk['p99_ms']} ms"),
            ("others", ", ".join(_others(found["measurements"])) + " cores busy with something else meanwhile"),
        ]
    )
    click.echo()
    printing.table(
        ("what", "measured", "unit", "limit", "ratio", "target", "met"), _rows(found["targets"]), empty="Nothing."
    )
    click.echo("\nTargets are stated for 2 cores. The limit is " + "; ".join(_limits(found["targets"])) + ".")


def _rows(targets: Iterable[Mapping[str, Any]]) -> Iterable[tuple[Any, ...]]:
    for each in targets:
        limit = "" if each["limit"] is None else f"{each['limit']:,.10g}"
        ratio = "" if each["ratio"] is None else f"{each['ratio']:.2f}"
        met = "met" if each["met"] else "MISSED"
        yield (
            each["what"],
            f"{each['measured']:,.10g}".rjust(9),
            each["unit"],
            limit.rjust(9),
            ratio,
            each["target"],
            met,
        )


def _others(measurements: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [f"{name} {figures['others_cores']:g}" for name, figures in measurements.items()]


def _limits(targets: Iterable[Mapping[str, Any]]) -> list[str]:
    found = dict.fromkeys(each["beside"] for each in targets if each["beside"])
    return list(found) or ["given where one was measured"]
