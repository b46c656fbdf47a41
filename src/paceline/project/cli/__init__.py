"""The command line. Each file of this package has the commands of one noun; they are read when they are called."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "demo": "processes",
    "up": "processes",
    "sandbox": "processes",
    "web": "processes",
    "dispatcher": "processes",
    "login-link": "processes",
    "doctor": "doctor",
    "segments": "texts",
    "send": "texts",
    "contacts": "contacts",
    "sender": "senders",
    "campaign": "campaigns",
    "optout": "optouts",
    "key": "keys",
}
HIDDEN = {"web", "dispatcher"}


class Lazy(click.Group):
    """Imports a command's file only when it is used: `paceline segments` does not wait for Django."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if name not in HIDDEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        return getattr(import_module(f"{__name__}.{module}"), cmd_name.replace("-", "_"))


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="paceline")
def main() -> None:
    """Paceline: SMS campaigns at the pace that senders, carriers and readers can take.

    Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 refused by a safety rule.
    """
