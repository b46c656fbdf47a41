"""What must Django be told about a database? Its entry in DATABASES, with the options that our promises rest on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

SQLITE_OPTIONS: dict[str, Any] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
}

ENGINES = ("sqlite3", "postgresql", "postgis", "mysql")


def from_url(url: str, called: str = "The database URL") -> dict[str, Any]:
    """The entry for sqlite:///PATH, postgres://… or mysql://… Raises `ImproperlyConfigured`, never quoting the URL."""
    import environ

    try:
        entry = environ.Env.db_url_config(url)
    except ValueError:
        entry = {}
    if not entry.get("ENGINE", "").endswith(ENGINES):
        raise ImproperlyConfigured(f"{called} is not understood; it begins with sqlite://, postgres:// or mysql://")
    return _complete(entry)


def from_file(path: Path) -> dict[str, Any]:
    """The entry for a SQLite file, whatever characters its path has."""
    return _complete({"ENGINE": "django.db.backends.sqlite3", "NAME": str(path.absolute())})


def _complete(entry: dict[str, Any]) -> dict[str, Any]:
    if entry["ENGINE"].endswith("sqlite3"):
        entry["OPTIONS"] = dict(SQLITE_OPTIONS)
    elif entry["ENGINE"].endswith("mysql"):
        import pymysql

        pymysql.install_as_MySQLdb()
        entry.setdefault("OPTIONS", {}).update(
            {"charset": "utf8mb4", "isolation_level": "read committed", "init_command": "SET time_zone = '+00:00'"}
        )
    else:
        entry.setdefault("CONN_HEALTH_CHECKS", True)
    return entry
