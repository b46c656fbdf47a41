"""Commands about API keys."""

from __future__ import annotations

from typing import Any

import click

from .common import WRONG_USAGE, as_json, fail, installed, say
from .values import Text


@click.group()
def key() -> None:
    """Create, list and revoke the keys of the API."""


@key.command()
@click.argument("name", type=Text(80), default="api")
@as_json
@installed
def create(name: str, as_json: bool) -> None:
    """Makes a key and shows it, once. NAME says who uses it; without one it is called api."""
    from paceline.api import keys

    made, text = keys.create(name)
    lines = [text, "Keep it now: it is not shown again. Use it as: Authorization: Bearer " + text[:12] + "…"]
    say({"id": made.public_id, "name": made.name, "key": text}, as_json, lines)


@key.command("list")
@as_json
@installed
def list_(as_json: bool) -> None:
    """Shows the keys, without their secrets."""
    from paceline.api.models import ApiKey

    found = [
        {
            "id": each.public_id,
            "name": each.name,
            "created_at": each.created_at,
            "last_used_at": each.last_used_at,
            "revoked_at": each.revoked_at,
        }
        for each in ApiKey.objects.order_by("pk")
    ]
    lines = [f"{each['id']}  {each['name']:<24} {_use(each)}" for each in found]
    say(found, as_json, lines or "No keys yet; make one with: paceline key create NAME")


@key.command()
@click.argument("key_id", metavar="ID")
@as_json
@installed
def revoke(key_id: str, as_json: bool) -> None:
    """Ends a key at once. ID is as `paceline key list` shows it."""
    from paceline.api import keys

    if not keys.revoke(key_id):
        fail("There is no open key of that ID; paceline key list shows them", WRONG_USAGE)
    say({"id": key_id, "revoked": True}, as_json, f"Key {key_id} is revoked")


def _use(key: dict[str, Any]) -> str:
    if key["revoked_at"]:
        return "revoked"
    return f"last used {key['last_used_at']:%Y-%m-%d %H:%M} UTC" if key["last_used_at"] else "never used"
