"""How does Django get ready in a script? Configured for one database and one provider; or as its project has it."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from paceline.dispatcher.lock import alone
from paceline.messaging import databases, secrets
from paceline.sms import providers
from paceline.sms.providers import Given, Provider

from .values import BatchError

Database = str | os.PathLike[str]

ENVIRONMENT = "PACELINE_PROVIDER"
LOCK = "setup.lock"

_own: tuple[dict[str, Any], Given] | None = None
"""The database and the sender that this process has been set up with, unless a project did it."""


def set_up(database: Database | None, sender: Given | None, region: str, data_dir: Database | None) -> Path:
    """Gets Django and the tables ready. Answers the folder of the dispatcher's lock and wire log.

    Raises `BatchError` for what cannot be, and what the database or the provider raises.
    """
    if database is None:
        _use_project(sender)
    else:
        _use_own(_database(database), _named(sender), region, data_dir)
    from django.conf import settings

    return Path(data_dir or settings.PACELINE.get("DATA_DIR", ".paceline")).absolute()


def _use_project(sender: Given | None) -> None:
    import django
    from django.apps import apps
    from django.conf import settings

    if _own is not None:
        return
    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        raise BatchError("Which database? Give its file, BatchSMS('test.db'); None is for inside a Django project")
    if sender is not None:
        raise BatchError("In a Django project the provider is that of the settings' PACELINE; leave the sender out")
    if not apps.ready:
        django.setup()
    if not apps.is_installed("paceline.messaging"):
        raise BatchError("Add 'paceline.messaging' to this project's INSTALLED_APPS and run its migrations")


def _use_own(database: dict[str, Any], sender: Given, region: str, data_dir: Database | None) -> None:
    global _own
    import django
    from django.apps import apps
    from django.conf import settings

    if _own is None and settings.configured:
        raise BatchError("Django is set up already, by a project: leave db out, BatchSMS(None), to use its database")
    if _own not in (None, (database, sender)):
        raise BatchError("One process works with one database and one provider; this one has others already")
    folder = Path(data_dir or _folder(database)).absolute()
    if _own is None:
        keys = {name: os.environ.get(name, "") for name in ("PACELINE_SECRET_KEY", "PACELINE_OPTOUT_KEY")}
        if not keys["PACELINE_SECRET_KEY"]:  # it lies by its database: with another one nobody could be texted
            keys |= secrets.ensure(_folder(database).absolute(), {"PACELINE_SECRET_KEY": 32})
        settings.configure(
            SECRET_KEY=keys["PACELINE_SECRET_KEY"],
            INSTALLED_APPS=["paceline.messaging"],
            DATABASES={"default": dict(database)},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            USE_TZ=True,
            TIME_ZONE="UTC",
            PACELINE={
                "PROVIDERS": {"default": _provider(sender)},
                "REGION": region,
                "DATA_DIR": folder,
                "OPTOUT_KEY": keys["PACELINE_OPTOUT_KEY"],
            },
        )
        _own = database, sender
    if not apps.ready:
        django.setup()
    _migrate(folder)


def _database(given: Database) -> dict[str, Any]:
    """Django's entry for a path or a URL."""
    entry = databases.from_url(given) if isinstance(given, str) and "://" in given else databases.from_file(Path(given))
    if entry["ENGINE"].endswith("sqlite3") and Path(entry["NAME"]).name == ":memory:":
        raise BatchError("A database in memory is gone with its process; give a file, such as test.db")
    return entry


def _named(sender: Given | None) -> Given:
    given = sender or os.environ.get(ENVIRONMENT)
    if not given:
        raise BatchError(
            f"Which provider? Give its URL, BatchSMS('test.db', 'twilio://SID:TOKEN@'), or set {ENVIRONMENT} to it"
        )
    return given


def _provider(given: Given) -> Provider:
    try:
        return providers.provider(given)
    except (ImportError, ValueError) as error:
        raise BatchError(f"The provider cannot be set up: {error}") from None


def _folder(database: dict[str, Any]) -> Path:
    """One per database, whatever folder a script is started in: two dispatchers must meet at the same lock."""
    if database["ENGINE"].endswith("sqlite3"):
        return Path(f"{database['NAME']}-paceline")
    place = "\n".join(str(database.get(key, "")) for key in ("ENGINE", "HOST", "PORT", "NAME"))
    return Path.home() / ".paceline" / sha256(place.encode()).hexdigest()[:12]


def _migrate(folder: Path) -> None:
    """Makes the tables or brings them up to date. What is written may hold numbers: for this user alone."""
    from django.core.management import call_command
    from django.db import connection

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with alone(folder / LOCK):
        if connection.vendor == "sqlite":
            os.close(os.open(connection.settings_dict["NAME"], os.O_RDWR | os.O_CREAT, 0o600))
        call_command("migrate", verbosity=0, interactive=False)
