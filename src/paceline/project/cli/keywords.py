"""Commands about what is done by itself with a text that comes in."""

from __future__ import annotations

from typing import Any

import click

from .common import WRONG_USAGE, as_json, fail, installed, say
from .values import NAME, Text
from .values import number as as_number
from .values import sender as as_sender

MATCHES = ("exact", "first-word", "pattern", "any")
STRANGER = "+12025550199"


@click.group()
def keywords() -> None:
    """Add, list, try, switch or remove keyword rules."""


@keywords.command()
@click.argument("name", type=NAME)
@click.option("--words", type=Text(), default="", help="What it matches, with commas: JOIN, IN.")
@click.option("--match", type=click.Choice(MATCHES), help="How; default exact, and any without --words.")
@click.option("--list", "list_name", type=NAME, help="Only for who is on this list.")
@click.option("--language", default="", help="Only for contacts whose field `language` says so: es.")
@click.option("--position", type=int, default=100, show_default=True, help="Lower is looked at first.")
@click.option("--go-on", is_flag=True, help="Look at later rules too when this one matches.")
@click.option("--reply", multiple=True, type=Text(), help="Answer with this text.")
@click.option("--subscribe", multiple=True, type=NAME, help="Put them on this list.")
@click.option("--unsubscribe", multiple=True, type=NAME, help="Take them off this list.")
@click.option("--tag", multiple=True, type=Text(60), help="Tag the contact.")
@click.option("--untag", multiple=True, type=Text(60), help="Remove a tag.")
@click.option("--forward", multiple=True, help="To a phone, as a text, or to an e-mail address.")
@click.option("--assign", type=Text(254), help="Give the conversation to this user.")
@click.option("--close", is_flag=True, help="Close the conversation: nobody has to see it.")
@click.option("--webhook", multiple=True, help="POST the text to this https address, signed.")
@as_json
@installed
def add(
    name: str,
    words: str,
    match: str | None,
    list_name: str | None,
    language: str,
    position: int,
    go_on: bool,
    as_json: bool,
    **done: Any,
) -> None:
    """Adds the rule NAME, active at once, or replaces it."""
    from paceline.messaging import rules

    match = (match or ("exact" if words.strip() else "any")).replace("-", "_")
    try:
        rule = rules.add(
            name, match, words, _actions(done), list=list_name, language=language, position=position, go_on=go_on
        )
    except rules.RuleError as error:
        fail(str(error), WRONG_USAGE)
    say(_value(rule), as_json, f"{rule} is active: {_in_words(rule)}")


def _actions(done: dict[str, Any]) -> list[dict[str, str]]:
    """The options as actions, in the order in which the rules list them."""
    from paceline.messaging import rules

    actions = []
    for do, key in rules.ACTIONS.items():
        given = done[do]
        if not key:
            actions += [{"do": do}] if given else []
            continue
        for value in [given] if isinstance(given, str) else given or ():
            actions.append({"do": do, key: value})
    return actions


@keywords.command("list")
@as_json
@installed
def list_(as_json: bool) -> None:
    """Shows the rules in the order in which they are looked at."""
    from paceline.messaging.models import KeywordRule

    found = list(KeywordRule.objects.select_related("list"))
    lines = [f"{rule.position:>5}  {rule.name:<20} {_in_words(rule)}" for rule in found]
    say([_value(rule) for rule in found], as_json, lines or "No rules yet; add one with: paceline keywords add")


@keywords.command()
@click.argument("name")
@as_json
@installed
def show(name: str, as_json: bool) -> None:
    """Shows one rule with its actions, and how often it has matched lately."""
    from paceline.messaging.models import AutomaticText

    rule = _get(name)
    matched = AutomaticText.objects.filter(kind=AutomaticText.Kind.RULE, rule=rule.name).count()
    lines = [f"{rule}  {_in_words(rule)}", f"  position {rule.position}, matched {matched} times in the last 30 days"]
    lines += [f"  {' '.join(action.values())}" for action in rule.actions]
    say(_value(rule) | {"matched": matched}, as_json, lines)


@keywords.command()
@click.argument("name")
@as_json
@installed
def remove(name: str, as_json: bool) -> None:
    """Removes a rule."""
    rule = _get(name)
    kept = rule.name
    rule.delete()
    say({"name": kept, "removed": True}, as_json, f"{kept} is removed")


@keywords.command()
@click.argument("name")
@as_json
@installed
def enable(name: str, as_json: bool) -> None:
    """Switches a rule on."""
    _switch(name, True, as_json)


@keywords.command()
@click.argument("name")
@as_json
@installed
def disable(name: str, as_json: bool) -> None:
    """Switches a rule off; it is kept."""
    _switch(name, False, as_json)


def _switch(name: str, active: bool, as_json: bool) -> None:
    rule = _get(name)
    rule.active = active
    rule.save(update_fields=["active"])
    say(_value(rule), as_json, f"{rule} is {'active' if active else 'off'}")


@keywords.command("try")
@click.argument("text", type=Text())
@click.option("--from", "number", help="Who writes; default a stranger.")
@click.option("--to", "sender", help="Which of our senders they write to; default the first.")
@as_json
@installed
def try_(text: str, number: str | None, sender: str | None, as_json: bool) -> None:
    """Says which rules TEXT would match and what would be answered.

    Nothing is sent or changed. What a limit would hold back is shown all the same.
    """
    from datetime import UTC, datetime

    from paceline.messaging import automatic, senders, suppressions
    from paceline.messaging.models import Contact
    from paceline.sms import intents

    by = as_number(number, None) if number else STRANGER
    lane = as_sender(sender) if sender else next(iter(senders.active()), None)
    reading = intents.read(text)
    contact = Contact.objects.filter(number=by).first()
    found = automatic.plan(text, reading, number=by, contact=contact, sender=lane, now=datetime.now(UTC))
    value = {
        "intent": reading.intent and reading.intent.value,
        "certainty": reading.certainty.value if reading.intent else None,
        "rules": [rule.name for rule in found.matched],
        "texts": [{"to": said.to, "text": said.text, "why": said.rule or said.kind.value} for said in found.texts],
        "actions": [{"rule": rule.name, "do": action.do, "with": action.value} for rule, action in found.others],
        "suppressed": by in suppressions.among([by]),
    }
    lines = [f"It reads as {reading.intent.value.upper()} ({reading.certainty.value})"] if reading.intent else []
    lines += [f"Rule {name} matches" for name in value["rules"]] or ["No rule matches"]
    lines += [f"  to {each['to']}: {each['text']}  ({each['why']})" for each in value["texts"]]
    lines += [f"  {each['do']} {each['with']}".rstrip() + f"  ({each['rule']})" for each in value["actions"]]
    if not found.texts and not found.others:
        lines.append("Nothing would be done by itself")
    if value["suppressed"]:
        lines.append(f"{by} is suppressed: of these texts only a STOP's confirmation and help would reach it")
    say(value, as_json, lines)


def _get(name: str) -> Any:
    from paceline.messaging import rules

    try:
        return rules.get(name)
    except rules.UnknownRule as error:
        fail(str(error), WRONG_USAGE)


def _in_words(rule: Any) -> str:
    words = f" {rule.words}" if rule.words else ""
    parts = [f"{rule.get_match_display()}{words} → {', '.join(action['do'] for action in rule.actions)}"]
    parts += [f"for list {rule.list}"] * bool(rule.list_id)
    parts += [f"for language {rule.language}"] * bool(rule.language)
    parts += ["goes on"] * rule.go_on
    parts += ["off"] * (not rule.active)
    return "; ".join(parts)


def _value(rule: Any) -> dict[str, Any]:
    return {
        "name": rule.name,
        "match": rule.match,
        "words": rule.words,
        "list": rule.list and rule.list.name,
        "language": rule.language,
        "position": rule.position,
        "active": rule.active,
        "go_on": rule.go_on,
        "actions": rule.actions,
    }
