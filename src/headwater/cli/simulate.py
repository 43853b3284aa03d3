"""`headwater simulate`: the outside world, for demos and tests."""

from __future__ import annotations

import click


class _Simulators(click.Group):
    """Loads a simulator when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return ["activecampaign"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        from headwater.simulators.activecampaign.command import command as simulator

        return simulator


@click.group(cls=_Simulators)
@click.option("--alive-fd", type=int, hidden=True)
def command(*, alive_fd: int | None) -> None:
    """Play the outside world for tests and demos.

    \b
    Example:
      headwater simulate activecampaign --webhook-url http://localhost:8080/webhooks/activecampaign/SECRET
    """
    if alive_fd is not None:
        from headwater.app.place import end_with

        end_with(alive_fd)
