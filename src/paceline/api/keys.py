"""Which program may use the API? Whoever holds a key that is neither revoked nor expired."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from paceline.messaging import engine

from .models import PREFIX, ApiKey

ID_BYTES = 6
SECRET_BYTES = 32
NOTE_USE_EVERY = timedelta(minutes=1)

_KEY = re.compile(rf"{PREFIX}([0-9a-f]{{{2 * ID_BYTES}}})_([0-9a-f]{{{2 * SECRET_BYTES}}})", re.ASCII)
_NO_DIGEST = "0" * 64


def create(name: str, expires_at: datetime | None = None) -> tuple[ApiKey, str]:
    """A new key and its text. The text can be shown this once only: just a hash of it is kept.

    Raises `ValueError` for a blank or long name, and for an `expires_at` that is past or has no time zone.
    """
    name = name.strip()
    if not 0 < len(name) <= 80:
        raise ValueError("Give the key a name of 1 to 80 characters that says who uses it")
    if expires_at is not None and timezone.is_naive(expires_at):
        raise ValueError("expires_at has no time zone; give an aware datetime such as 2026-12-01T09:00+00:00")
    if expires_at is not None and expires_at <= timezone.now():
        raise ValueError("expires_at is in the past; give a later moment, or none for a key that does not expire")
    public_id, secret = secrets.token_hex(ID_BYTES), secrets.token_hex(SECRET_BYTES)
    key = ApiKey.objects.create(public_id=public_id, digest=_digest(secret), name=name, expires_at=expires_at)
    return key, f"{PREFIX}{public_id}_{secret}"


def revoke(id: str) -> bool:
    """The key with this public id (or whole text) opens nothing from now on. False when no such key was valid."""
    public_id = id.strip().removeprefix(PREFIX).partition("_")[0]
    return bool(ApiKey.objects.filter(public_id=public_id, revoked_at=None).update(revoked_at=timezone.now()))


def authenticate(text: str) -> ApiKey | None:
    """The valid key that `text` is, or None. Notes its use, at most once a minute."""
    spelled = _KEY.fullmatch(text)
    if spelled is None:
        return None
    public_id, secret = spelled.groups()
    key = ApiKey.objects.filter(public_id=public_id).first()
    if not hmac.compare_digest(_digest(secret), key.digest if key else _NO_DIGEST) or key is None:
        return None
    now = timezone.now()
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        return None
    _note_use(key, now)
    return key


def _note_use(key: ApiKey, now: datetime) -> None:
    """A conditional update, so that a thousand requests in a minute write one row once."""
    before = now - NOTE_USE_EVERY
    if key.last_used_at is not None and key.last_used_at > before:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lte=before)
    with engine.write():
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
    key.last_used_at = now


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
