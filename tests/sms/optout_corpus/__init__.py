"""Replies for `intents`, of several writers, and which of them may be looked at by those who write and fit rules.

A file has a reply a line: its language, a colon, the reply. `optouts…` ask for silence, `ordinary…` do not.
"""

import hashlib
from pathlib import Path

HOME = Path(__file__).parent
KINDS = ("optouts", "ordinary")
HALVED = ("", "_second")
"""Of two writers a half is for rules, the other one for figures."""
TUNED = ("_tuned", "_more")
"""All for rules."""
APART = ("_fresh", "_apart")
"""All for figures."""


def replies(name: str) -> list[str]:
    """The lines of a file of the corpus: a language, a colon, a reply."""
    return (HOME / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def held_out(line: str) -> bool:
    """True for the half that no rule was written for. A line's half depends on nothing but the line."""
    return hashlib.sha256(line.encode()).digest()[0] % 2 == 1


def tune(kind: str) -> dict[str, list[str]]:
    """By file, the lines that rules may be written for and weights may be fitted to. Nothing else is for that."""
    halves = {part: [line for line in replies(kind + part) if not held_out(line)] for part in HALVED}
    return halves | {part: replies(kind + part) for part in TUNED}
