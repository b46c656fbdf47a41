"""Commands about the companies that Paceline can send through."""

from __future__ import annotations

from dataclasses import fields
from inspect import Parameter, signature
from typing import Any

import click

from .common import as_json, say

HEADINGS = {
    "echoes_reference": "reports carry our reference",
    "lookup": "look-up",
    "lookup_proves_absence": "look-up proves absence",
    "idempotency_key": "same reference twice is one text",
    "validity": "validity",
    "max_text_units": "longest text",
    "alphanumeric_senders": "alphanumeric senders",
    "reports": "delivery reports",
    "inbound": "inbound texts",
    "signs_webhooks": "signs webhooks",
    "price_in_report": "price in reports",
    "answers_stop": "answers STOP by itself",
}
"""Capability → heading of its column."""


@click.command()
@click.option("--markdown", is_flag=True, help="The table of docs/providers/README.md.")
@as_json
def providers(markdown: bool, as_json: bool) -> None:
    """Shows what each provider can do, and its options."""
    found = known()
    if markdown:
        say(found, False, table(found))
        return
    lines = []
    for name, provider in found.items():
        can = [HEADINGS[each] for each, value in provider["capabilities"].items() if value is True]
        if longest := provider["capabilities"]["max_text_units"]:
            can.append(f"texts of {longest:,} characters")
        lines += [
            click.style(name, bold=True) + f"  {provider['url']}",
            f"    {', '.join(can)}",
            f"    options: {', '.join(provider['options']) or 'none'}",
        ]
    say(found, as_json, lines)


def known() -> dict[str, dict[str, Any]]:
    """{name: {"url", "backend", "options", "capabilities"}} as the classes themselves say it."""
    from paceline.sms.providers import KNOWN, find

    found: dict[str, dict[str, Any]] = {}
    for name in KNOWN:
        cls = find(name)
        user, password = cls.credentials
        options = signature(cls).parameters.values()
        found[name] = {
            "url": f"{name}://{user.upper()}:{password.upper()}@" if user else f"{name}:",
            "backend": f"{cls.__module__}.{cls.__qualname__}",
            "options": [option.name + " (needed)" * (option.default is Parameter.empty) for option in options],
            "capabilities": {each.name: getattr(cls.capabilities, each.name) for each in fields(cls.capabilities)},
        }
    return found


def table(found: dict[str, dict[str, Any]]) -> list[str]:
    """Capabilities × providers as the lines of a Markdown table, the local providers left out."""
    shown = {name: each for name, each in found.items() if ".local." not in each["backend"]}
    lines = [f"| | {' | '.join(shown)} |", "|---|" + "---|" * len(shown)]
    for capability, heading in HEADINGS.items():
        cells = [_cell(each["capabilities"][capability]) for each in shown.values()]
        lines.append(f"| {heading} | {' | '.join(cells)} |")
    return lines


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "–"
    return f"{value:,}" if value else "–"
