"""Does a reply sound like an order to stop, though no phrase of the rules says so?

What `intents` has parted into clauses is looked at for signs: words, neighbours, four letters in a row, and kins. A kin
is a group of words that mean much the same, in six languages, so that what was learned of “texts” holds for “mensajes”
too. Each sign has a weight, fitted to replies whose meaning is known (`tests/sms/optout_corpus/fit.py`). The weights of
the signs that are found are added up; above nought it sounds like an order to stop. `why` tells which signs it was.

Both tables are plain text beside this file: `hunch_kins.txt` is written by hand, `hunch_weights.txt` is fitted. Who
changes a kin, or how signs are found, fits the weights anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from itertools import islice

MOST_WORDS = 60
"""Words that are looked at. Who goes on for longer is not answering in haste, and rules read on."""

SHORTEST_PREFIX = 3
"""Letters before the `*` of a kin."""


def sound(text: str, clauses: Sequence[Sequence[str]]) -> float:
    """How much `text`, parted into `clauses`, sounds like an order to stop; below nought it does not.

    Takes some tenths of a millisecond, and a few milliseconds at most, whatever the text.
    """
    known = [_WEIGHTS[sign] for sign in signs(text, clauses) if sign in _WEIGHTS]
    return sum(known) * scale(len(known)) + _BIAS


def why(text: str, clauses: Sequence[Sequence[str]]) -> list[tuple[str, float]]:
    """The signs that are found and known, with their weights, those that speak loudest first."""
    found = [(sign, _WEIGHTS[sign]) for sign in signs(text, clauses) if sign in _WEIGHTS]
    return sorted(found, key=lambda each: (-abs(each[1]), each[0]))


def scale(known: int) -> float:
    """What a sign counts among that many: a long reply has more of them and says no more."""
    return float(max(1, known) ** -0.25)


# -- Signs -------------------------------------------------------------------------------------------------------------


def signs(text: str, clauses: Sequence[Sequence[str]]) -> set[str]:
    """What is there to be seen in a text. Kins are written in capitals.

    `remove me`, `^ remove`, `me $`: words and neighbours, from the beginning of a clause to its end
    `#emov`: letters of a word, `<` and `>` where it begins and ends
    `NOT WANT`, `NOT _ TEXTS`, `^ NOT SENDTO`: kins and words within three of each other
    `NOT&TEXTS`: kins anywhere in the text
    `=3`, `=?`, `=!`, `=7`: how many words; what else stands there
    """
    found: set[str] = set()
    everywhere: set[str] = set()
    left = MOST_WORDS
    for whole in clauses:
        clause = list(islice(whole, left))
        left -= len(clause)
        if not clause:
            break
        for word in clause:
            found |= _letters(word)
            everywhere.update(_kins(word))
        _neighbours(["^", *clause, "$"], found)
    kins = sorted(everywhere)
    found.update(f"{one}&{other}" for at, one in enumerate(kins) for other in kins[at + 1 :])
    found.add(f"={min(MOST_WORDS - left, 12)}")
    found.update(f"={sign}" for sign in "?!" if sign in text)
    if "NUM" in everywhere:
        found.add("=number")
    return found


def _neighbours(clause: list[str], found: set[str]) -> None:
    """Adds words and kins of a clause, alone and with what stands near."""
    kins = [_kins(word) for word in clause]
    both = [(word, *kin) for word, kin in zip(clause, kins, strict=True)]
    count = len(clause)
    for at, names in enumerate(both):
        found.update(names)
        if at + 1 < count:
            found.update(f"{one} {other}" for one in names for other in both[at + 1])
        for far in range(at + 2, min(at + 4, count)):
            # two words that are not neighbours tell little without their kins
            found.update(
                f"{one} _ {other}"
                for one in names
                for other in both[far]
                if one is not clause[at] or other is not clause[far]
            )
        if at + 2 < count:
            found.update(
                f"{one} {two} {three}"
                for one in kins[at] or clause[at : at + 1]
                for two in kins[at + 1] or clause[at + 1 : at + 2]
                for three in kins[at + 2] or clause[at + 2 : at + 3]
            )
    found -= {"^", "$"}


@lru_cache(maxsize=4096)
def _letters(word: str) -> frozenset[str]:
    edged = f"<{word[:30]}>"
    return frozenset(f"#{edged[at : at + 4]}" for at in range(len(edged) - 3))


@lru_cache(maxsize=4096)
def _kins(word: str) -> tuple[str, ...]:
    """The kins that a word belongs to."""
    if word in ("^", "$"):
        return ()
    kins = set(_KINS.get(word, ()))
    for end in range(SHORTEST_PREFIX, min(len(word), 30) + 1):
        kins |= _KINS.get(f"{word[:end]}*", set())
    if word[0].isdigit():
        kins.add("NUM")
    return tuple(sorted(kins))


# -- Reading the tables ------------------------------------------------------------------------------------------------


def _table(name: str) -> list[str]:
    table = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return [line for line in table.splitlines() if line and not line.startswith("# ")]


def _read_kins() -> dict[str, set[str]]:
    """For each word, or beginning of words with a `*`, the kins that it belongs to."""
    kins: defaultdict[str, set[str]] = defaultdict(set)
    for line in _table("hunch_kins.txt"):
        name, _, spelled = line.partition(": ")
        for word in spelled.split():
            kins[word].add(name)
    return dict(kins)


def _read_weights() -> dict[str, float]:
    """For each sign its weight: a line is a weight in hundredths and the signs that have it, parted by bars."""
    return {
        sign: int(weight) / 100
        for weight, _, found in (line.partition("|") for line in _table("hunch_weights.txt"))
        for sign in found.split("|")
    }


_KINS = _read_kins()
_WEIGHTS = _read_weights()
_BIAS = _WEIGHTS.pop("", 0.0)
