"""What do all commands share? Django when it is needed, one way to answer, one way to fail."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from paceline.project import secrets
from paceline.sms.errors import PacelineError

Command = TypeVar("Command", bound=Callable[..., Any])

INSTALLATION_SECRETS = {"PACELINE_SECRET_KEY": 32}

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON value on stdout, for scripts.")


def fail(sentence: str, code: int = 1) -> NoReturn:
    """Ends the command with a sentence on stderr."""
    click.secho(f"Error: {sentence}", fg="red", err=True)
    sys.exit(code)


def explained(command: Command) -> Command:
    """Turns what went wrong on purpose into a sentence and an exit code, never a traceback."""

    @wraps(command)
    def explaining(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (PacelineError, TimeoutError) as error:
            fail(str(error))
        except FileNotFoundError as error:
            fail(f"There is no file {error.filename}")
        except PermissionError as error:
            fail(f"{error.filename} may not be read or written by this user")

    return explaining  # type: ignore[return-value]


def installed(command: Command) -> Command:
    """`explained`, for a command that works on this installation: Django is set up before it is called."""

    @explained
    @wraps(command)
    def on_installation(*args: Any, **kwargs: Any) -> Any:
        django()
        return command(*args, **kwargs)

    return on_installation  # type: ignore[return-value]


def say(value: Any, as_json: bool, text: str | Iterable[str]) -> None:
    """Answers a command: the value as JSON, or lines for people."""
    if as_json:
        click.echo(json.dumps(value, ensure_ascii=False, default=str))
    else:
        for line in [text] if isinstance(text, str) else text:
            click.echo(line)


def data_dir() -> Path:
    """The installation's folder: PACELINE_DATA_DIR, or .paceline here."""
    return Path(os.environ.get("PACELINE_DATA_DIR", ".paceline")).absolute()


def django() -> None:
    """Sets Django up on this installation, making its folder, secrets and tables when they are not there."""
    from django.core.exceptions import ImproperlyConfigured

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paceline.project.settings")
    if "PACELINE_SECRET_KEY" not in os.environ:
        secrets.ensure(data_dir(), INSTALLATION_SECRETS)
    else:
        data_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        import django as framework

        framework.setup()
        _migrate()
    except ImproperlyConfigured as error:
        fail(str(error))


def _migrate() -> None:
    """Brings the tables up to date; quick when they are."""
    from django.core.management import call_command
    from django.db import DatabaseError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        fail(f"The database does not answer ({type(error).__name__}); check DATABASE_URL, then `paceline doctor`")
