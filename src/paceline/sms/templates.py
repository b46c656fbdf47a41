"""What does this recipient's text say? `{{ field }}` in a text, and nothing else.

Authors are not trusted: there are no tags, attributes, filters or expressions, hence nothing to escape from. A field
is written `{{ name }}`, or with what to say when it is blank, `{{ name|default("there") }}`, in either quotes. A single
brace is plain text. Values are put in as they are and never read again as a template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn

from .errors import TemplateError

_PLACEHOLDER = re.compile(
    r"""
    \{\{ \s*+
    (?P<name> [^\W\d] \w*+ ) \s*+
    (?: \| \s*+ default \s*+ \( \s*+ (?P<default> "[^"]*+" | '[^']*+' ) \s*+ \) \s*+ )?+
    \}\}
    """,
    re.VERBOSE,
)
"""The whole grammar. The quantifiers are possessive, so that a hostile text is read once, without going back."""

_BRACES = re.compile(r"\{\{|\}\}|\{%")

_HOW = '{{ name }} or {{ name|default("there") }}'


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where a field's value goes: the piece of the text with this index."""

    index: int
    name: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Template:
    """A text that has been read: its fields, and those of them that every recipient must have."""

    text: str
    fields: frozenset[str]
    required: frozenset[str]  # without a default, at one place at least
    _pieces: tuple[str, ...] = field(repr=False)  # plain text, and an empty string for each hole
    _holes: tuple[_Hole, ...] = field(repr=False)


@lru_cache(maxsize=128)
def parse(text: str) -> Template:
    """Reads an author's text, in time linear in its length; the last ones read are kept.

    Raises `TemplateError`, saying where (in characters, from 1) and what to write instead, for anything in double
    braces that is not a field, for braces that do not pair, and for `{%`.
    """
    pieces: list[str] = []
    holes: list[_Hole] = []
    at = 0
    while braces := _BRACES.search(text, at):
        found = _PLACEHOLDER.match(text, braces.start())
        if found is None:
            _explain(text, braces.start())
        pieces.append(text[at : found.start()])
        default = found["default"]
        holes.append(_Hole(len(pieces), found["name"], default and default[1:-1]))
        pieces.append("")
        at = found.end()
    pieces.append(text[at:])
    return Template(
        text,
        fields=frozenset(hole.name for hole in holes),
        required=frozenset(hole.name for hole in holes if hole.default is None),
        _pieces=tuple(pieces),
        _holes=tuple(holes),
    )


def render(template: Template | str, fields: Mapping[str, str]) -> str:
    """The text for one recipient. Values go in verbatim; one that is only whitespace counts as missing.

    Raises `TemplateError`, naming the field, when a value without a default is missing, and as `parse` does.
    """
    if isinstance(template, str):
        template = parse(template)
    pieces = list(template._pieces)
    for hole in template._holes:
        value = fields.get(hole.name)
        if not value or value.isspace():
            value = hole.default
            if value is None:
                raise TemplateError(
                    f"The field “{hole.name}” is missing or blank for this recipient: fill it in, "
                    f'or say what to write instead with {{{{ {hole.name}|default("…") }}}}.'
                )
        pieces[hole.index] = value
    return "".join(pieces)


def missing(template: Template | str, fields: Mapping[str, str]) -> tuple[str, ...]:
    """The required fields that this recipient lacks or has blank, in the text's order; empty if `render` will do."""
    if isinstance(template, str):
        template = parse(template)
    names = dict.fromkeys(hole.name for hole in template._holes if hole.default is None)
    return tuple(name for name in names if not fields.get(name) or fields[name].isspace())


def _explain(text: str, start: int) -> NoReturn:
    """Says what is wrong with the braces at `start`."""
    braces = text[start : start + 2]
    end = text.find("}}", start + 2)
    inside = text[start : end + 2]
    shown = inside if len(inside) <= 60 else inside[:59] + "…"
    if braces == "}}":
        problem = f"“}}}}” closes nothing. Remove it, or open it as in {_HOW}"
    elif braces == "{%":
        problem = f"“{{%” starts a tag, and tags do not work here. Remove it; fields are written {_HOW}"
    elif end == -1 or "{{" in inside[2:]:
        problem = f"“{{{{” is never closed. Write {_HOW}"
    elif not inside[2:-2].strip():
        problem = f"“{shown}” names no field. Write {_HOW}"
    else:
        problem = (
            f"“{shown}” is not a field. Only a name (letters, digits and underscores, no digit first) "
            f"and a default are understood. Write {_HOW}"
        )
    raise TemplateError(f"At character {start + 1}: {problem}.")
