"""`headwater set-password`: for who has forgotten theirs; works on the database itself."""

from __future__ import annotations

import click

from headwater.cli.installation import data_dir_option, opened


@click.command()
@click.argument("email")
@data_dir_option
def command(email: str, data_dir: str | None) -> None:
    """Give a person another password and end all their sessions.

    The password is asked for twice and not shown; a pipe gives it on two lines.

    \b
    Example:
      headwater set-password ann@example.com --data-dir ./headwater-data
    """
    password = click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
    with opened(data_dir) as control:
        user = control.credentials.reset_password(email, password)
    click.echo(f"{user.email} signs in with the new password from now on; every session of theirs has ended.")
