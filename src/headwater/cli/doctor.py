"""`headwater doctor`: is everything well, and if not, what to do."""

from __future__ import annotations

import json
import os
import sys

import click

from headwater.cli import server


@click.command()
@click.option(
    "--data-dir", metavar="DIR", help="Which installation (default: the one that runs here, else ./headwater-data)."
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(*, as_json: bool, data_dir: str | None) -> None:
    """Check configuration, disk, clock, event log and connections, and say what to do.

    Exits 0 when everything is well, 1 otherwise. Every block of the event log is read.

    \b
    Example:
      headwater doctor --data-dir ./headwater-data
    """
    from headwater.app.doctor import examine

    findings = []
    directory = data_dir or os.environ.get("HEADWATER_DATA_DIR") or server.here()
    for finding in examine({"data_dir": directory}):
        findings.append(finding)
        if not as_json:
            mark = click.style("ok  ", fg="green") if finding.is_well else click.style("HELP", fg="red", bold=True)
            click.echo(f"{mark} {finding.name}: {finding.found}")
            if finding.advice:
                click.echo(f"     {finding.advice}")
    if as_json:
        told = [
            {"name": each.name, "found": each.found, "advice": each.advice, "ok": each.is_well} for each in findings
        ]
        click.echo(json.dumps({"ok": all(each.is_well for each in findings), "findings": told}))
    sys.exit(0 if all(each.is_well for each in findings) else 1)
