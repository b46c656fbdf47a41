"""The command line. Each file of this package has the commands of one noun; they are read when they are called."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from .common import INTERRUPTED, explanation, fail

COMMANDS = {
    "demo": "processes",
    "up": "processes",
    "sandbox": "processes",
    "web": "processes",
    "dispatcher": "processes",
    "worker": "processes",
    "beat": "processes",
    "login-link": "processes",
    "doctor": "doctor",
    "segments": "texts",
    "send": "texts",
    "contacts": "contacts",
    "sender": "senders",
    "campaign": "campaigns",
    "inbox": "inbox",
    "keywords": "keywords",
    "optout": "optouts",
    "uncertain": "uncertain",
    "backup": "copies",
    "restore": "copies",
    "confirm": "copies",
    "key": "keys",
    "providers": "providers",
}
HIDDEN = {"web", "dispatcher", "worker", "beat"}


class Lazy(click.Group):
    """Imports a command's file only when it is used: `paceline segments` does not wait for Django.

    The one border of the command line: whatever goes wrong behind it becomes one sentence on stderr and an exit code.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if name not in HIDDEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        return getattr(import_module(f"{__name__}.{module}"), cmd_name.replace("-", "_"))

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Runs a command line and exits."""
        try:
            code = super().main(*args, **kwargs | {"prog_name": "paceline", "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            fail(_in_words(error), error.exit_code)
        except click.Abort:
            fail("Interrupted; what was done until here stays done", INTERRUPTED)
        except Exception as error:
            found = explanation(error)
            if found is None:
                raise
            fail(*found)
        sys.exit(code if isinstance(code, int) else 0)


def _in_words(error: click.ClickException) -> str:
    sentence = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return sentence
    return f"{sentence.rstrip('.')}. How it is used: {context.command_path} --help"


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="paceline")
def main() -> None:
    """Paceline: SMS campaigns at the pace that senders, carriers and readers can take.

    Everything lies in the folder PACELINE_DATA_DIR, or .paceline where you are. A new user begins with `paceline demo`.

    Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 refused by a safety rule.
    """
