"""Which providers does the sandbox speak like? One wire each."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from .base import Callback, Knock, Problem, Reply, Said, Submission, Wire

WIRES = tuple(sorted(each.name for each in iter_modules(__path__) if each.name != "base"))
"""One file of this package each; the file's name is the provider's."""


def wire(name: str) -> type[Wire]:
    """The wire of a provider. Raises `ValueError` with the names there are."""
    if name not in WIRES:
        raise ValueError(f"The sandbox does not speak like {name!r}; it knows: {', '.join(WIRES)}")
    module = import_module(f"{__name__}.{name}")
    return next(each for each in vars(module).values() if isinstance(each, type) and getattr(each, "name", "") == name)


__all__ = ["WIRES", "Callback", "Knock", "Problem", "Reply", "Said", "Submission", "Wire", "wire"]
