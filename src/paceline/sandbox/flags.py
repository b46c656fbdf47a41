"""Which flags does the sandbox take? The fields of its own dataclasses, each with a default and a sentence of help.

The command lines are built from these, so that a flag is written down once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: `kind` is int, float, str or bool; `many` may be given more than once, a `secret` is not shown."""

    name: str
    option: str
    kind: type
    default: Any
    many: bool
    secret: bool
    help: str


def flag(default: Any, help: str, kind: type | None = None, secret: bool = False) -> Any:
    """A dataclass field that is also a flag. `kind` is needed only where the default does not show it."""
    many = isinstance(default, tuple)
    kind = kind or (str if many else type(default))
    return field(
        default=default, repr=not secret, metadata={"help": help, "many": many, "kind": kind, "secret": secret}
    )


def share(help: str) -> Any:
    """A flag from 0 (never) to 1 (always)."""
    metadata = {"help": f"Share (0 to 1) of {help}", "many": False, "kind": float, "share": True}
    return field(default=0.0, metadata=metadata)


def of(settings: type) -> list[Flag]:
    """The flags that a dataclass of settings declares, in order."""
    return [
        Flag(
            name=each.name,
            option=_option(each.name, each.metadata["many"]),
            kind=each.metadata["kind"],
            default=each.default,
            many=each.metadata["many"],
            secret=each.metadata.get("secret", False),
            help=each.metadata["help"],
        )
        for each in fields(settings)
        if "help" in each.metadata
    ]


def _option(name: str, many: bool) -> str:
    """One of many is given at a time: `stop_numbers` becomes `--stop-number`."""
    return "--" + (name.removesuffix("s") if many else name).replace("_", "-")


def build(settings: type[Settings], values: Mapping[str, Any]) -> Settings:
    """The settings from parsed flags by name; what is absent or None keeps its default. Raises ValueError."""
    given = {each.name: values.get(each.name) for each in of(settings)}
    return settings(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items() if v is not None})
