"""What is to be done by itself with an inbound text? Keyword rules: which texts, whose, and the actions.

Rules are looked at by their position; the first that matches is the last, unless it says `go_on`. A rule for a list is
for who is on it; a rule for a language for contacts whose field `language` says so. STOP, START and HELP are no rule's
business: see `automatic`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from paceline.sms import patterns, segments, templates
from paceline.sms.errors import InvalidNumber, PacelineError, TemplateError
from paceline.sms.numbers import normalize

from . import contacts, errands, lanes, suppressions, texts
from .models import Contact, ContactList, ContactTag, KeywordRule, Membership, Sender

ACTIONS_MOST = 20
TAG_LONGEST = 60
USER_LONGEST = 254
LANGUAGE = "language"
"""The contact's field that says which language they read, such as `es` or `es-MX`."""

Match = KeywordRule.Match


class RuleError(PacelineError):
    """A rule that cannot be kept as it is written; the sentence says what is wrong, where, and what to do."""


class UnknownRule(PacelineError):
    """No rule has this name or number."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a rule does, and with what: a text, a list's name, a tag, a number or address, a user, a URL."""

    do: str
    value: str = ""


ACTIONS = {
    "reply": "text",
    "subscribe": "list",
    "unsubscribe": "list",
    "tag": "tag",
    "untag": "tag",
    "forward": "to",
    "assign": "user",
    "close": "",
    "webhook": "url",
}
"""{what a rule can do: the key that says with what}"""


# --- written ------------------------------------------------------------------------------------------------------


def add(
    name: str,
    match: str,
    words: str,
    actions: Sequence[Mapping[str, str]],
    *,
    list: str | None = None,
    language: str = "",
    position: int = 100,
    go_on: bool = False,
) -> KeywordRule:
    """Adds a rule, active at once; of an existing name, replaces it. Raises `RuleError`."""
    rule = KeywordRule.objects.filter(name=name.strip()).first() or KeywordRule(name=name.strip())
    rule.match, rule.words, rule.actions = match, words, [dict(action) for action in actions]
    rule.list = contacts.get_list(list) if list else None
    rule.language, rule.position, rule.go_on, rule.active = language, position, go_on, True
    try:
        rule.full_clean(validate_unique=False)
    except ValidationError as error:
        raise RuleError(_in_one_line(error)) from None
    rule.save()
    return rule


def get(name: str) -> KeywordRule:
    """The rule of that name or number. Raises `UnknownRule`."""
    found = KeywordRule.objects.filter(name=name).first()
    if found is None and name.isdecimal():
        found = KeywordRule.objects.filter(pk=int(name)).first()
    if found is None:
        raise UnknownRule(f"There is no rule {name!r}; paceline keywords list shows them")
    return found


def fault(rule: KeywordRule) -> str:
    """What is wrong with a rule as things stand now, in a sentence; empty when nothing is.

    A phone that it forwards to may have become a sender of ours since it was written; the settings may have changed.
    """
    try:
        rule.full_clean(validate_unique=False)
    except ValidationError as error:
        return _in_one_line(error)
    return ""


def _in_one_line(error: ValidationError) -> str:
    """Every fault with its field, as one sentence."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        f"{'' if field == '__all__' else field + ': '}{message}"
        for field, messages in error.message_dict.items()
        for message in messages
    )


def check(rule: KeywordRule) -> None:
    """Brings a rule into the form it is kept in. Raises `ValidationError`, each fault with its field."""
    faults: dict[str, list[str]] = {}
    for field, read in (("words", _words), ("actions", _actions), ("language", _language)):
        try:
            setattr(rule, field, read(rule))
        except RuleError as error:
            faults[field] = [str(error)]
    if faults:
        raise ValidationError(faults)


def _words(rule: KeywordRule) -> str:
    if rule.match == Match.ANY:
        if rule.words.strip():
            raise RuleError("A rule for any text has no words. Leave them out, or choose another way of matching.")
        return ""
    if rule.match not in Match.values:
        return rule.words  # the field itself says what it may be
    try:
        patterns.compile_(patterns.Kind(rule.match), rule.words.strip())
    except ValueError as error:
        raise RuleError(str(error)) from None
    return rule.words.strip()


def _language(rule: KeywordRule) -> str:
    language = rule.language.strip().lower()
    if language and not re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", language):
        raise RuleError(
            f"{rule.language!r} is no language. Write two letters, such as es, or es-mx; or leave it empty."
        )
    return language


def _actions(rule: KeywordRule) -> list[dict[str, str]]:
    return [_spelled(action) for action in read(rule.actions)]


def _spelled(action: Action) -> dict[str, str]:
    key = ACTIONS[action.do]
    return {"do": action.do} | ({key: action.value} if key else {})


def read(given: Any) -> list[Action]:
    """The actions that JSON spells. Raises `RuleError`, saying which of them is wrong and how it is written."""
    if not isinstance(given, list) or not given:
        raise RuleError('There are no actions. Write, for example, [{"do": "reply", "text": "Welcome!"}].')
    if len(given) > ACTIONS_MOST:
        raise RuleError(f"There are {len(given)} actions; a rule has at most {ACTIONS_MOST}.")
    return [_action(place, entry) for place, entry in enumerate(given, 1)]


def actions_of(rule: KeywordRule) -> list[Action]:
    """The actions of a rule that was checked when it was written."""
    return [Action(each["do"], each.get(ACTIONS[each["do"]], "")) for each in rule.actions]


def _action(place: int, entry: Any) -> Action:
    do = entry.get("do") if isinstance(entry, dict) else None
    if not isinstance(do, str) or do not in ACTIONS:
        raise RuleError(f'Action {place} has no "do" that is known. Known are {", ".join(ACTIONS)}.')
    key = ACTIONS[do]
    if extra := sorted(set(map(str, entry)) - {"do", key}):
        raise RuleError(f"Action {place} ({do}) has {extra[0]!r}, which means nothing there. Leave it out.")
    if not key:
        return Action(do)
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise RuleError(f'Action {place} ({do}) needs a text in "{key}".')
    try:
        return Action(do, _CHECKS[do](value.strip()))
    except (RuleError, TemplateError, ValueError) as error:
        raise RuleError(f"Action {place} ({do}): {error}") from None


def _reply(text: str) -> str:
    template = templates.parse(text)
    if template.required:
        name = sorted(template.required)[0]
        raise RuleError(
            f"Who writes may be a stranger without the field “{name}”. Say what to write instead: "
            f'{{{{ {name}|default("…") }}}}.'
        )
    if segments.count(text) > lanes.SEGMENTS_MOST:
        raise RuleError(f"The text is over {lanes.SEGMENTS_MOST} segments. Shorten it.")
    return text


def _name(most: int, what: str) -> Any:
    def checked(value: str) -> str:
        if len(value) > most:
            raise RuleError(f"The {what} has {len(value)} characters; at most {most} are kept.")
        return value

    return checked


def _to(value: str) -> str:
    if "@" in value:
        try:
            validate_email(value)
        except ValidationError:
            raise RuleError(f"{value!r} is no e-mail address. Write one such as office@example.org.") from None
        return value
    try:
        number = normalize(value, texts.region())
    except InvalidNumber as error:
        raise RuleError(f"{value!r} is neither a number nor an e-mail address. {error}") from None
    if Sender.objects.filter(number=number).exists():
        raise RuleError(f"{number} is one of our own senders: texts would go round in circles. Name another phone.")
    return number


def _url(value: str) -> str:
    errands.check_url(value)
    errands.secret()
    return value


_CHECKS: dict[str, Any] = {
    "reply": _reply,
    "subscribe": _name(120, "list's name"),
    "unsubscribe": _name(120, "list's name"),
    "tag": _name(TAG_LONGEST, "tag"),
    "untag": _name(TAG_LONGEST, "tag"),
    "forward": _to,
    "assign": _name(USER_LONGEST, "user's name"),
    "webhook": _url,
}


# --- matched ------------------------------------------------------------------------------------------------------


def in_force() -> list[KeywordRule]:
    """The active rules, in the order in which they are looked at."""
    return list(KeywordRule.objects.filter(active=True).order_by("position", "pk"))


def matching(candidates: Iterable[KeywordRule], text: str, contact: Contact | None) -> list[KeywordRule]:
    """The rules that apply to a text of this contact (None is a stranger), in order. At most one query."""
    candidates = list(candidates)
    on_lists = _lists_of(contact, {rule.list_id for rule in candidates if rule.list_id})
    language = str((contact.fields or {}).get(LANGUAGE, "")).strip().lower() if contact else ""
    found = []
    for rule in candidates:
        if (rule.list_id and rule.list_id not in on_lists) or not _speaks(language, rule.language):
            continue
        if _matches(rule, text):
            found.append(rule)
            if not rule.go_on:
                break
    return found


def _lists_of(contact: Contact | None, among: Collection[int]) -> set[int]:
    if contact is None or not among:
        return set()
    return set(Membership.objects.filter(contact=contact, list__in=among).values_list("list", flat=True))


def _speaks(language: str, wanted: str) -> bool:
    """`es` is every Spanish; `es-mx` only that of Mexico."""
    return not wanted or language.replace("_", "-") == wanted or language.replace("_", "-").startswith(wanted + "-")


def _matches(rule: KeywordRule, text: str) -> bool:
    if rule.match == Match.ANY:
        return True
    return patterns.compile_(patterns.Kind(rule.match), rule.words).matches(text)


# --- done, in the database ----------------------------------------------------------------------------------------


def subscribe(contact: Contact, name: str) -> None:
    """Puts a contact on a list, which is made when it is new. Lifts only what their leaving this very list has set."""
    into = contacts.get_list(name)
    for entry in suppressions.of(contact.number).filter(list=into, reason=suppressions.Reason.OPT_OUT):
        suppressions.lift(entry, f"subscribed to {name}")
    contacts.enrol(into, [contact.pk])


def unsubscribe(contact: Contact, name: str) -> None:
    """Takes a contact off a list, for good: no campaign to it and no import of it reaches them."""
    found = ContactList.objects.filter(name=name).first()
    if found is not None:
        scope = suppressions.Scope(list_id=found.pk)
        suppressions.add(contact.number, suppressions.Reason.OPT_OUT, f"unsubscribed from {name}", scope)
    Membership.objects.filter(list__name=name, contact=contact).delete()


def tag(contact: Contact, name: str) -> None:
    ContactTag.objects.get_or_create(contact=contact, name=name)


def untag(contact: Contact, name: str) -> None:
    ContactTag.objects.filter(contact=contact, name=name).delete()
