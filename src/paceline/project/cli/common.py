"""What do all commands share? Django when it is needed, words for what went wrong, one way to answer."""

from __future__ import annotations

import errno
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from paceline.dispatcher.lock import alone
from paceline.messaging import secrets
from paceline.sms.errors import InvalidNumber, PacelineError, TemplateError

Command = TypeVar("Command", bound=Callable[..., Any])

INSTALLATION_SECRETS = {"PACELINE_SECRET_KEY": 32}
LOCK = "setup.lock"
VARIABLES = ("PACELINE_", "VONAGE_", "DATABASE_")

FAILED, WRONG_USAGE, UNSAFE, INTERRUPTED = 1, 2, 3, 130

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON value on stdout, for scripts.")


def fail(sentence: str, code: int = FAILED) -> NoReturn:
    """Ends the command with a sentence on stderr, also with --json: stdout has answers only."""
    click.secho(f"Error: {sentence}", fg="red", err=True)
    sys.exit(code)


def explanation(error: Exception) -> tuple[str, int] | None:
    """The sentence and the exit code for what can go wrong without a mistake of ours; None for a mistake of ours."""
    if isinstance(error, InvalidNumber | TemplateError):
        return str(error), WRONG_USAGE
    if isinstance(error, PacelineError | TimeoutError):
        return str(error), FAILED
    if isinstance(error, OSError):
        return _file_trouble(error), FAILED
    if "django.db" in sys.modules:
        from django.core.exceptions import ImproperlyConfigured
        from django.db import DatabaseError

        if isinstance(error, ImproperlyConfigured):
            return _one_line(error), FAILED
        if isinstance(error, DatabaseError):
            return _database_trouble(error), FAILED
    return None


def _file_trouble(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return f"There is no file {error.filename}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename:
        return f"{error.filename} may not be read or written by this user"
    if error.errno == errno.ENOSPC:
        return "The disk is full; free some space and run the same command again"
    return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")


def _database_trouble(error: Exception) -> str:
    from django.db import connection

    place = connection.settings_dict
    where = place["NAME"]
    if connection.vendor != "sqlite":
        where = f"{where} at {place['HOST'] or 'this machine'}, port {place['PORT'] or 'as usual'}"
    why = str(error.args[-1] if error.args else type(error).__name__).strip().splitlines()[0]
    return f"The database ({where}) cannot be used: {why.rstrip('.')}. Check DATABASE_URL, and that it runs"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def installed(command: Command) -> Command:
    """For a command that works on this installation: Django is set up before it is called."""

    @wraps(command)
    def on_installation(*args: Any, **kwargs: Any) -> Any:
        django()
        return command(*args, **kwargs)

    return on_installation  # type: ignore[return-value]


def say(value: Any, as_json: bool, text: str | Iterable[str]) -> None:
    """Answers a command: the value as JSON, or lines for people."""
    if as_json:
        click.echo(json.dumps(value, ensure_ascii=False, default=_plain))
    else:
        for line in [text] if isinstance(text, str) else text:
            click.echo(line)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def data_dir() -> Path:
    """The installation's folder: PACELINE_DATA_DIR, or .paceline here."""
    return Path(os.environ.get("PACELINE_DATA_DIR") or ".paceline").absolute()


def django() -> None:
    """Sets Django up on this installation, making its folder, secrets and tables when they are not there.

    Several commands may do so at once.
    """
    folder = data_dir()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paceline.project.settings")
    os.environ["PACELINE_DATA_DIR"] = str(folder)
    if not os.environ.get("PACELINE_SECRET_KEY"):
        os.environ.pop("PACELINE_SECRET_KEY", None)
    os.umask(0o077)  # whatever is written from here on may hold telephone numbers
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if "PACELINE_SECRET_KEY" not in os.environ:
            with alone(folder / LOCK):
                secrets.ensure(folder, INSTALLATION_SECRETS)
    except OSError as error:
        why = error.strerror or error
        fail(f"The data folder {folder} cannot be used ({why}); set PACELINE_DATA_DIR to a folder of your own")
    _set_up()
    migrate(folder)


def _set_up() -> None:
    import django as framework
    from django.core.exceptions import ImproperlyConfigured

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="environ")
            framework.setup()
    except (ImproperlyConfigured, OSError):
        raise
    except Exception as error:
        given = ", ".join(sorted(name for name in os.environ if name.startswith(VARIABLES))) or "none"
        why = f"{type(error).__name__}: {_one_line(error.__cause__ or error)}"
        fail(f"The settings cannot be used ({why}). Look at those given here ({given}), with docs/settings.md")
    _look_at_providers()


def _look_at_providers() -> None:
    from django.conf import settings

    given = settings.PACELINE["PROVIDERS"]
    if not isinstance(given, dict) or not all(map(_is_provider, given.values())):
        fail(
            'PACELINE_PROVIDERS is not {"alias": "NAME://USER:PASSWORD@"} or {"alias": {"BACKEND": …}} in JSON; mend it'
        )


def _is_provider(entry: Any) -> bool:
    return isinstance(entry, str) or (isinstance(entry, dict) and bool({"BACKEND", "URL"} & entry.keys()))


def migrate(folder: Path) -> None:
    """Brings the tables up to date; quick when they are."""
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    def wanting() -> bool:
        executor = MigrationExecutor(connection)
        return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))

    if wanting():
        with alone(folder / LOCK):
            if wanting():
                call_command("migrate", verbosity=0, interactive=False)
