"""What does a reply ask for, said in whatever words, and how sure is that?

A person may withdraw consent in any reasonable manner (47 CFR 64.1200(a)(10)), so "please stop texting me" counts as
much as STOP. Three certainties: EXACT is nothing but the word, as in `keywords`. CLEAR is what any reasonable person
reads as an order to stop. DOUBTFUL may be one: it is better obeyed until a person has looked.

It goes from left to right, once: the text is parted into clauses (at commas, full stops and the like), each clause into
words. Slips and frequent misspellings are put right. Words that stand there in another sense ("bus stop", "cancel my
3pm") are struck out. Noise ("please", "omg") is dropped. Then all rules look at what is left of the clause, and what
they find is weighed: "stop the autopay" is about another matter, "stop the texts about my autopay" is about texts.
At last `hunch` is asked how the whole reply sounds: it may raise a doubt that no phrase has, or take one back, no more.

The tables are in `wordings`, in the language of `patterns`, one phrase a line, with `<name>` for a class of words, `^`
and `$` for the beginning and the end of the clause, and `~` for a word that was struck out. Every rule looks at every
text; nobody's language is guessed.

START is never read from free words: texting somebody unasked is worse than not texting. Nor does YES lift a
suppression. HELP said freely is CLEAR when hardly anything else is said.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from . import hunch, keywords, wordings
from .keywords import Keyword
from .patterns import Phrases, Step, steps_of
from .wordings import Meant
from .words import words

LONGEST_TEXT = 1600
"""Characters that are read, after blanks at both ends. Ten segments hold no more."""

MOST_WORDS = 200
"""Words that are read: what a person has to say about stopping has been said by then."""


class Certainty(StrEnum):
    """How sure a reading is."""

    EXACT = "exact"  # nothing but the word
    CLEAR = "clear"  # any reasonable person reads it so
    DOUBTFUL = "doubtful"  # it may be meant so; for a person to decide


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply asks for; no intent is an ordinary reply, whose certainty says nothing."""

    intent: Keyword | None
    certainty: Certainty


ORDINARY = Reading(None, Certainty.CLEAR)
_CLEAR = Reading(Keyword.STOP, Certainty.CLEAR)
_DOUBTFUL = Reading(Keyword.STOP, Certainty.DOUBTFUL)
_HELP = Reading(Keyword.HELP, Certainty.CLEAR)
_READ = {Meant.STOP: _CLEAR, Meant.MAYBE_STOP: _DOUBTFUL, Meant.HELP: _HELP}


def read(text: str) -> Reading:
    """What `text` asks for, in English, French, Spanish, German, Portuguese or Italian.

    Takes some tenths of a millisecond, and a few milliseconds at most, whatever the text.
    """
    if exact := keywords.classify(text):
        return Reading(exact, Certainty.EXACT)
    parted = list(clauses(text))
    reading = _by_rules(parted)
    if reading == ORDINARY:
        # a doubt takes more than a word: single ones are what keyword rules live on (LEAVE, JOIN, MENU)
        enough = sum(map(len, parted)) > 1
        return _DOUBTFUL if enough and hunch.sound(text, parted) >= _LIKELY else ORDINARY
    if reading == _DOUBTFUL:
        return ORDINARY if hunch.sound(text, parted) <= _UNLIKELY else _DOUBTFUL
    return reading  # what is clear stays so, and HELP is no doubt


def read_by_rules(text: str) -> Reading:
    """What is read by the phrases alone, without `hunch`."""
    if exact := keywords.classify(text):
        return Reading(exact, Certainty.EXACT)
    return _by_rules(list(clauses(text)))


_LIKELY = 0.6
"""From here on an ordinary reply is doubtful: `fit --judge` has less than 1 % of ordinary ones beyond it."""
_UNLIKELY = -1.0
"""Down from here a doubtful reply is ordinary: of opt-outs that is true of very few."""


def _by_rules(parted: list[list[str]]) -> Reading:
    """What the phrases say of a text that is parted into clauses."""
    said = [left for clause in parted if (left := _left(clause))]
    meant = [_meant(clause) for clause in said]
    heard = {_weighed(signs) for signs in meant}
    if _CLEAR in heard:
        return _CLEAR
    if _DOUBTFUL in heard and not any(Meant.AGAIN in signs for signs in meant):
        return _DOUBTFUL
    return _HELP if len(said) == 1 and Meant.HELP in meant[0] else ORDINARY


def _meant(clause: list[str]) -> frozenset[Meant]:
    """What the phrases stand for that are found in a clause."""
    return frozenset(_MEANT[number] for number in _RULES.among(["^", *clause, "$"]))


def _weighed(signs: frozenset[Meant]) -> Reading:
    """What is read in one clause, once what speaks for an order to stop is weighed against what does not."""
    if Meant.STOP in signs:
        reading, signs = _CLEAR, signs - {Meant.MAYBE_STOP}
    elif Meant.MAYBE_STOP in signs:
        reading = _DOUBTFUL
    else:
        return ORDINARY
    return reading if sum(_WEIGHTS[sign] for sign in signs) >= _ENOUGH else ORDINARY


_WEIGHTS = {
    Meant.STOP: 5,
    Meant.MAYBE_STOP: 4,
    Meant.TEXTS: 3,
    Meant.MINE: 3,
    Meant.OTHER: -4,
    Meant.ASKING: -3,
    Meant.AGAIN: -9,
    Meant.HELP: 0,
}
_ENOUGH = 4
"""So a phrase alone is enough, and another matter or a question undoes it unless texts or a number are named."""


# -- From text to clauses ----------------------------------------------------------------------------------------------

_SIGNS = {
    "🛑": " stop ",
    "⛔": " no ",
    "🚫": " no ",
    "❌": " no ",
    "🙅": " no ",
    "📵": " no texts ",
    "📱": " texts ",
    "💬": " texts ",
    "🖕": " fuckoff ",
    "$": "s",
    "#": " number ",
    "&": " and ",
}
"""Signs that people put in the place of words."""

_BREAK = re.compile(r"(?:[,;:()\n¡¿!?\"“”…]|[.\-–—](?=\s|$)|(?<=\s)[\-–—])+")
_END = "|"
_ELISION = re.compile(r"\b(?:qu|[cdjlmnst]|[ds]?all|[dn]ell)['’](?=\w)", re.IGNORECASE)
"""French and Italian words that lose their vowel before the next: “n'écrivez”, “dall'elenco”."""

_REASONS = frozenset(
    ["i", "im", "ive", "we", "you", "youre", "u", "not", "dont", "je", "ich", "yo", "no", "nao", "non"]
)
"""What begins a clause of its own behind a leading STOP, comma or not."""

_SIGN_TABLE = str.maketrans(_SIGNS)
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")
_SPACED = re.compile(r"(?<!\S)[^\W\d_](?:[ .\-_*][^\W\d_]){2,}(?!\w)")
"""s t o p, S.T.O.P"""


def clauses(text: str) -> Iterator[list[str]]:
    """The clauses of a text as words, misspellings put right."""
    text = text.strip()[:LONGEST_TEXT].translate(_SIGN_TABLE)[:LONGEST_TEXT]
    text = _SPACED.sub(lambda spaced: "".join(filter(str.isalnum, spaced[0])), text)
    text = _ELISION.sub("", _STRETCHED.sub(r"\1", text))
    spelled = words(_BREAK.sub(f" {_END} ", text), also=_END)[:MOST_WORDS]
    clause: list[str] = []
    for word in (*spelled, _END):
        if clause and (word == _END or (clause == ["stop"] and word in _REASONS)):
            yield clause
            clause = []
        if word != _END:
            clause.append(_RIGHT.get(word, word))


def _left(clause: list[str]) -> list[str]:
    """What a clause says without what is meant otherwise and without noise."""
    return list(filter(None, _DROPPED_PHRASES.strike(_ELSEWHERE_PHRASES.strike(clause, _STRUCK), "")))


_STRUCK = "~"
"""What stands for a word that was struck out. A gap passes over it."""

# -- Reading the tables ------------------------------------------------------------------------------------------------


def _slips(word: str) -> Iterator[str]:
    """What is typed with one slip: a letter left out, doubled, too early, or its neighbour's; or with no vowels."""
    for at in range(1, len(word)):
        yield word[:at] + word[at + 1 :]
        yield word[:at] + word[at] + word[at:]
        yield word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
    if len(word) > 5 or word in ("stop", "quit"):
        yield from _neighbours(word)
    if len(short := word[0] + _VOWELS.sub("", word[1:])) > 2:
        yield short


def _neighbours(word: str) -> Iterator[str]:
    """With one letter replaced by one that lies beside it on the keyboard."""
    for at, letter in enumerate(word):
        for other in _BESIDE.get(letter, ""):
            yield word[:at] + other + word[at + 1 :]


_VOWELS = re.compile("[aeiou]")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE = {
    letter: "".join(
        other
        for other_row, row_of_others in enumerate(_ROWS)
        for other_column, other in enumerate(row_of_others)
        if other != letter and abs(other_row - row) <= 1 and -1 <= other_column - column + other_row - row <= 1
    )
    for row, letters in enumerate(_ROWS)
    for column, letter in enumerate(letters)
}
"""The letters around each on a QWERTY keyboard; further rows are moved half a key each."""


_TABLES = (*wordings.CLASSES.values(), *wordings.ELSEWHERE.values(), *(rules.phrases for rules in wordings.TABLE))
_KNOWN = frozenset(words(" ".join((*_TABLES, wordings.DROPPED, wordings.FAMILIAR, wordings.LOOKALIKES))))
"""Words that are right as they stand."""

_RIGHT = {
    **{slip: word for word in wordings.FAMILIAR.split() for slip in _slips(word) if slip not in _KNOWN},
    **{
        wrong: right
        for right, _, wrongs in (line.partition(":") for line in wordings.MISSPELLED.strip().splitlines())
        for wrong in wrongs.split()
    },
}


def _steps(phrase: str) -> list[Step]:
    """The steps of one line of a table."""
    return [step for piece in phrase.split() for step in _piece(piece)]


def _piece(piece: str) -> list[Step]:
    if any(sign in piece for sign in "<^$~"):
        return [_union(_piece_of_choice(choice) for choice in piece.split("|"))]
    return steps_of(piece)


def _piece_of_choice(choice: str) -> Step:
    if choice in ("^", "$", _STRUCK):
        return Step(frozenset({choice}))
    if choice.startswith("<"):
        return _CLASS_STEPS[choice]
    return steps_of(choice)[0]


def _union(steps: Iterable[Step]) -> Step:
    """A step that takes what any of `steps` takes."""
    taken = list(steps)
    return Step(
        frozenset().union(*(step.exactly for step in taken)),
        frozenset().union(*(step.globs for step in taken)),
    )


def _classes() -> dict[str, Step]:
    """For each class, as `<name>`, a step that takes any of its words."""
    named: defaultdict[str, list[Step]] = defaultdict(list)
    for table in wordings.CLASSES.values():
        for line in table.strip().splitlines():
            name, _, spelled = line.strip().partition(": ")
            named[f"<{name}>"] += [steps_of(word)[0] for word in spelled.split()]
    return {name: _union(steps) for name, steps in named.items()}


def _lines(table: str, part: str = "\n") -> list[list[Step]]:
    return [_steps(line) for line in table.split(part) if line.strip()]


class _Fixed:
    """Phrases without gaps, hence with a length, whose places in a clause can be told."""

    def __init__(self, table: str) -> None:
        phrases = _lines(table.replace("\n", ","), ",")
        self._lengths = [len(steps) for steps in phrases]
        self._phrases = Phrases(phrases)

    def strike(self, clause: list[str], by: str) -> list[str]:
        """The clause with `by` for every word of a phrase that is found."""
        left = clause.copy()
        for number, end in self._phrases.ends(clause):
            begin = end - self._lengths[number]
            left[begin:end] = [by] * (end - begin)
        return left


_CLASS_STEPS = _classes()
_ELSEWHERE_PHRASES = _Fixed("".join(wordings.ELSEWHERE.values()))
_DROPPED_PHRASES = _Fixed(wordings.DROPPED)
_PHRASES = [(steps, rules.meant) for rules in wordings.TABLE for steps in _lines(rules.phrases)]
_MEANT = [meant for _, meant in _PHRASES]
_RULES = Phrases(steps for steps, _ in _PHRASES)
