"""Is this project set up so that texts can leave and reports come back? `manage.py check`, each finding with a hint.

No finding repeats the value of an option.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.urls import NoReverseMatch, reverse

from paceline.sms.errors import WebhookRejected
from paceline.sms.messages import WebhookRequest
from paceline.sms.providers import Provider

from . import accounts, databases, suppressions, twoway

SHAPE = 'PACELINE = {"PROVIDERS": {"default": {"BACKEND": "console"}}, "REGION": "US"}'
KNOWN = frozenset(
    {
        *("PROVIDERS", "REGION", "WEBHOOK_URL", "APPLY_IN_WEBHOOK", "DATA_DIR", "INSTANCE", "SETTLE_SECONDS"),
        *("WIRE_LOG", "PROGRAM_NAME", "HELP_CONTACT", "MESSAGE_FREQUENCY", "STOP_TEXT", "START_TEXT", "HELP_TEXT"),
        *("ANSWER_KEYWORDS", "OFFICE_HOURS", "OFFICE_CLOSED_TEXT", "AUTOMATIC_PER_MINUTE", "WEBHOOK_SECRET"),
        *("OPTOUT_KEY", "STOP_SCOPE"),
    }
)
KEY_LEAST = 16  # characters of an OPTOUT_KEY
SQLITE = f'DATABASES["default"]["OPTIONS"] = {databases.SQLITE_OPTIONS}'
CANNOT_VERIFY = "cannot be verified"  # how providers without their secret begin their rejection
ENGINES = ("sqlite", "postgresql", "mysql")


def register_all() -> None:
    """Called when the app is ready."""
    for check in (check_settings, check_providers, check_two_way, check_database):
        register(check)
    register(check_webhooks, Tags.urls)
    register(check_key, Tags.database)


def check_settings(**options: Any) -> Iterable[CheckMessage]:
    """The setting is there and has its shape; moments can be aware."""
    return list(_settings())


def _settings() -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        yield Error("USE_TZ is False: moments would have no time zone", "Set USE_TZ = True.", id="paceline.E001")
    if not apps.is_installed("paceline.dispatcher"):
        yield Info(
            "Without a dispatcher, texts of queue_text() and campaigns wait",
            'Add "paceline.dispatcher" to INSTALLED_APPS and keep `manage.py dispatch` running (or from cron with '
            "--until-idle). A project that only calls send_text() needs none: silence paceline.I001.",
            id="paceline.I001",
        )
    given = getattr(settings, "PACELINE", None)
    if given is None:
        yield Error("PACELINE is not in the settings", f"For a start: {SHAPE}", id="paceline.E002")
        return
    if not isinstance(given, dict):
        yield Error("PACELINE is not a dictionary", f"It is written: {SHAPE}", id="paceline.E003")
        return
    for key in sorted(set(map(str, given)) - KNOWN):
        hint = f"Known are {', '.join(sorted(KNOWN))}."
        yield Warning(f"PACELINE has {key!r}, which means nothing", hint, id="paceline.W001")
    if given.get("STOP_SCOPE", "all") not in suppressions.STOP_SCOPES:
        hint = 'It is how far a STOP reaches: "all", or "sender" for the number that it was said to.'
        yield Error("PACELINE['STOP_SCOPE'] is unknown", hint, id="paceline.E011")
    if 0 < len(str(given.get("OPTOUT_KEY") or "")) < KEY_LEAST:
        hint = "Make one with: python3 -c 'import secrets; print(secrets.token_hex(32))'"
        yield Warning("PACELINE['OPTOUT_KEY'] is so short that it can be guessed", hint, id="paceline.W006")
    providers = given.get("PROVIDERS")
    if not isinstance(providers, dict) or not providers:
        yield Error("PACELINE['PROVIDERS'] names no provider", f"For a start: {SHAPE}", id="paceline.E004")
        return
    for alias, entry in providers.items():
        if not isinstance(entry, str | dict | Provider):
            hint = 'It is {"BACKEND": "…", "OPTIONS": {…}}, or a URL such as "vonage://…".'
            yield Error(f"PACELINE['PROVIDERS'][{alias!r}] is neither a dictionary nor a URL", hint, id="paceline.E005")


def _shaped() -> dict[str, dict[str, Any]]:
    """The providers, as far as `check_settings` finds no fault with their shape."""
    given = getattr(settings, "PACELINE", None)
    providers = given.get("PROVIDERS") if isinstance(given, dict) else None
    if not isinstance(providers, dict):
        return {}
    return {alias: entry for alias, entry in accounts.configured().items() if isinstance(entry, dict)}


def check_providers(**options: Any) -> Iterable[CheckMessage]:
    """Each provider can be made from its options, and can know a genuine webhook."""
    return list(_providers())


def _providers() -> Iterator[CheckMessage]:
    for alias, entry in _shaped().items():
        where = f"PACELINE['PROVIDERS'][{alias!r}]"
        try:
            provider = accounts.provider(alias)
        except ImproperlyConfigured as error:
            yield _unusable(where, entry, error)
            continue
        for key, hint in accounts.LIMITS.items():
            try:
                accounts.limits({key: entry.get(key)})
            except ValueError:
                what = {"MPS": "rate", "UNIT": "unit", "RECIPIENT_DAILY_CAP": "count"}.get(key, "amount")
                yield Error(f"{where}[{key!r}] is no {what}", hint, id="paceline.E008")
        try:
            accounts.limits({"MPS": entry.get("SENDER_MPS")})
        except ValueError:
            yield Error(f"{where}['SENDER_MPS'] is no rate", accounts.LIMITS["MPS"], id="paceline.E008")
        if entry.get("SPEND_CAP") is not None and entry.get("PRICE_PER_SEGMENT") is None:
            hint = "Set PRICE_PER_SEGMENT to what a segment costs: the cap counts that."
            yield Error(f"{where}['SPEND_CAP'] has no price to count with", hint, id="paceline.E010")
        if lacking := lacking_secret(provider):
            yield Warning(
                f"{where} rejects all webhooks, reports and replies among them: it has no secret to verify them with",
                f"{lacking}; docs/providers/{provider.name}.md says where it is found.",
                id="paceline.W002",
            )


def lacking_secret(provider: Provider) -> str:
    """What a provider that cannot verify any webhook says about it, asked with one that is certainly not genuine."""
    try:
        provider.verify(WebhookRequest("POST", "/"), time.time())
    except WebhookRejected as error:
        return str(error) if CANNOT_VERIFY in str(error) else ""
    except Exception:  # one that takes no webhooks, or one that nobody could answer
        return ""
    return ""


def _unusable(where: str, entry: dict[str, Any], error: ImproperlyConfigured) -> CheckMessage:
    cause = error.__cause__
    if isinstance(cause, ImportError):
        return Error(
            f"{where} names no provider class",
            'BACKEND is a name such as "vonage", or the dotted path of a class: "package.module.Class".',
            id="paceline.E006",
        )
    said = str(cause) if isinstance(cause, ValueError) else type(cause).__name__
    if any(isinstance(value, str) and value and value in said for value in _values(entry)):
        said = type(cause).__name__
    return Error(
        f"{where} cannot be set up: {said}", "Compare its OPTIONS with the provider's page.", id="paceline.E007"
    )


def _values(entry: dict[str, Any]) -> Iterator[Any]:
    options = entry.get("OPTIONS")
    yield from options.values() if isinstance(options, dict) else ()
    yield entry.get("URL")


def check_two_way(**options: Any) -> Iterable[CheckMessage]:
    """What is answered by itself is said in values that can be read."""
    return [
        Error(f"PACELINE[{fault.key!r}] {fault.wrong}", f"Right would be: {fault.right}", id="paceline.E013")
        for fault in twoway.faults()
    ]


def check_webhooks(**options: Any) -> Iterable[CheckMessage]:
    """The door for reports and replies is mounted, when a provider may knock."""
    if not any(_takes_webhooks(alias) for alias in _shaped()):
        return []
    try:
        reverse("webhook", kwargs={"alias": accounts.DEFAULT, "kind": "status"})
    except NoReverseMatch:
        hint = 'In urls.py: path("webhooks/", include("paceline.webhooks.urls")).'
        return [Warning("Delivery reports and replies have no address here", hint, id="paceline.W003")]
    return []


def _takes_webhooks(alias: str) -> bool:
    try:
        return type(accounts.provider(alias)).events is not Provider.events
    except ImproperlyConfigured:
        return False


def check_database(**options: Any) -> Iterable[CheckMessage]:
    """An engine that the guarantees are tested on, with the options that they need. Asks no database."""
    return list(_database())


def _database() -> Iterator[CheckMessage]:
    if connection.vendor not in ENGINES:
        hint = "Use SQLite, PostgreSQL or MariaDB for the default database."
        yield Error(f"Paceline is not tested on {connection.vendor}", hint, id="paceline.E009")
    if connection.vendor == "sqlite":
        given = connection.settings_dict.get("OPTIONS", {})
        if str(given.get("transaction_mode", "")).upper() != "IMMEDIATE":
            said = "SQLite transactions are not IMMEDIATE: two writers at once fail with “database is locked”"
            yield Warning(said, f"Paste: {SQLITE}", id="paceline.W004")
        if "wal" not in str(given.get("init_command", "")).lower():
            said = "SQLite runs without WAL: a reader holds up every writer"
            yield Warning(said, f"Paste: {SQLITE}", id="paceline.W005")


def check_key(databases: Sequence[str] | None = None, **options: Any) -> Iterable[CheckMessage]:
    """The opt-outs can be found with our key. Asks the database, so only `manage.py check --database default` does."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    try:
        wrong = suppressions.is_key_wrong()
    except DatabaseError:  # its tables are not there yet
        return []
    said = "The opt-outs were made with another key: nothing is sent"
    return [Error(said, suppressions.MEND, id="paceline.E012")] if wrong else []
