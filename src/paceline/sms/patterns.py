"""Does a text fit what somebody has spelled: the whole of it, its first word, or a pattern of words?

Keyword rules are written by people who are not trusted with `re`: a pattern of theirs can be made to run for hours.
This language has nothing to go back over. All phrases are followed at once, word by word, as bits of one number, so
that the cost is the text's words times the phrases' size, whatever stands in either.

    pizza                 the word
    pick* up              words after one another; `*` is any letters, also none, and alone any one word
    pizza|pasta           one of several words
    order ... pizza       `...` is any words between, also none; `...2` is two at most
    ... menu ..., hours   phrases, parted by commas: any of them

A phrase is about the whole text; begin and end it with `...` for what may stand anywhere. Case, accents, punctuation
and what is not seen count on neither side, as in `words`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from .words import letters, words

LONGEST_TEXT = 1600
"""Characters of a text that are read, after blanks at both ends. Ten segments hold no more."""

LONGEST_PATTERN = 300
"""Characters of a pattern."""

WIDEST_GAP = 9
"""Words that a counted gap may hold."""


class Kind(StrEnum):
    """What is compared with what is spelled."""

    EXACT = "exact"  # the whole text, run together: OPT OUT is also opt-out and optout
    FIRST_WORD = "first_word"
    PATTERN = "pattern"


@dataclass(frozen=True, slots=True)
class Pattern:
    """What has been read of a rule, ready to be compared with texts."""

    kind: Kind
    spelled: str
    _letters: frozenset[str] = field(repr=False)  # for the first two kinds
    _phrases: Phrases | None = field(repr=False, compare=False)  # for the third

    def matches(self, text: str) -> bool:
        """True when `text` fits. A text of 64 KB or the worst pattern takes some milliseconds; the rest is not read."""
        text = text.strip()[:LONGEST_TEXT]
        if self._phrases is not None:
            return self._phrases.fit(words(text))
        if self.kind is Kind.EXACT:
            return letters(text) in self._letters
        # "e-mail me" begins with EMAIL, and "join,thanks" with JOIN.
        return any(letters(first) in self._letters for first in (*text.split(None, 1)[:1], *words(text)[:1]))


@lru_cache(maxsize=256)
def compile_(kind: Kind, spelled: str) -> Pattern:
    """Reads what somebody has spelled for a rule of `kind`; the last ones read are kept.

    Raises `ValueError`, saying what is wrong, where (in characters, from 1) and what to write instead.
    """
    kind = Kind(kind)
    if len(spelled) > LONGEST_PATTERN:
        raise ValueError(
            f"The pattern has {len(spelled)} characters and may have {LONGEST_PATTERN}: make several rules of it."
        )
    parts = list(_parts(spelled))
    if not any(part.strip() for _, part in parts):
        raise ValueError("The pattern is empty: write at least one word.")
    if kind is Kind.PATTERN:
        return Pattern(kind, spelled, frozenset(), Phrases([_phrase(part, at) for at, part in parts]))
    return Pattern(kind, spelled, frozenset(_plain(kind, part, at) for at, part in parts), None)


def _parts(spelled: str) -> Iterator[tuple[int, str]]:
    """What stands between the commas, each with where it begins. One comma at the end is forgiven."""
    at = 1
    for part in spelled.rstrip().removesuffix(",").split(","):
        yield at, part
        at += len(part) + 1


def _plain(kind: Kind, part: str, at: int) -> str:
    """The letters of one word, or of the words of one whole text."""
    if sign := _SIGN.search(part):
        raise ValueError(
            f"At character {at + sign.start()}: “{sign[0]}” means nothing in a rule of the kind {kind}. "
            "Leave it out, or choose the kind pattern."
        )
    spelled = letters(part)
    if not spelled:
        raise ValueError(f"At character {at}: there is no letter or digit. Write a word, or remove the comma.")
    if kind is Kind.FIRST_WORD and len(part.split()) > 1:
        raise ValueError(
            f"At character {at}: “{part.strip()}” is more than one word. Part words by commas, "
            f"or choose the kind pattern and write {part.strip()} ..."
        )
    return spelled


# -- Reading a phrase ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """What a phrase expects next."""

    exactly: frozenset[str] = frozenset()  # one of these words
    globs: frozenset[tuple[str, ...]] = frozenset()  # or one with these pieces: its beginning, …, its end
    skipped: bool = False  # or nothing
    again: bool = False  # or more of the same


_ANY_WORD = frozenset({("", "")})
GAP = Step(globs=_ANY_WORD, skipped=True, again=True)
MAYBE_A_WORD = Step(globs=_ANY_WORD, skipped=True)

_SIGN = re.compile(r"[*|…]|\.\.\.")
_GAP = re.compile(r"\.\.\.([0-9]*)")
_FOREIGN = re.compile(r"[][(){}^$\\+?]")


def _phrase(part: str, at: int) -> list[Step]:
    """The steps of one phrase, which begins at character `at`."""
    steps: list[Step] = []
    for found in re.finditer(r"\S+", part):
        steps += steps_of(found[0].replace("…", "..."), at + found.start())
    if not any(any(step.exactly) or any(map(any, step.globs)) for step in steps):
        at += len(part) - len(part.lstrip())
        raise ValueError(f"At character {at}: no word is named here. Write one, or remove the comma.")
    return steps


def steps_of(piece: str, at: int = 1) -> list[Step]:
    """What stands between two blanks: a gap, or a word (more than one if it is parted by a hyphen or the like)."""
    if gap := _GAP.fullmatch(piece):
        if not gap[1]:
            return [GAP]
        if not 1 <= int(gap[1]) <= WIDEST_GAP:
            raise ValueError(
                f"At character {at}: a gap holds 1 to {WIDEST_GAP} words. Write ...3, or ... for any number."
            )
        return [MAYBE_A_WORD] * int(gap[1])
    if ".." in piece:
        raise ValueError(f"At character {at}: a gap is three dots with blanks around it. Write one ... two.")
    if foreign := _FOREIGN.search(piece):
        raise ValueError(
            f"At character {at + foreign.start()}: “{foreign[0]}” means nothing here. "
            "A pattern has words, * for letters, | between words, ... for words, and commas between phrases."
        )
    if "|" in piece:
        return [_choice(piece, at)]
    steps = [_word(spelled) for spelled in _glob_words(piece)]
    if not steps:
        raise ValueError(f"At character {at}: “{piece}” has no letter or digit. Remove it.")
    return steps


def _choice(piece: str, at: int) -> Step:
    """One of several words."""
    choices = []
    for spelled in piece.split("|"):
        parted = _glob_words(spelled)
        if not parted:
            raise ValueError(f"At character {at}: a word is missing beside “|”. Write one|two without blanks.")
        if len(parted) > 1:
            raise ValueError(
                f"At character {at}: “{spelled}” is {len(parted)} words, and “|” stands between single ones. "
                "Write whole phrases and part them by commas."
            )
        choices.append(_word(parted[0]))
        at += len(spelled) + 1
    return Step(
        frozenset().union(*(choice.exactly for choice in choices)),
        frozenset().union(*(choice.globs for choice in choices)),
    )


def _glob_words(spelled: str) -> list[str]:
    """The words of a piece of a pattern, each still with its stars."""
    return words(spelled, also="*")


def _word(spelled: str) -> Step:
    if "*" in spelled:
        return Step(globs=frozenset({tuple(spelled.split("*"))}))
    return Step(frozenset({spelled}))


# -- Following phrases -------------------------------------------------------------------------------------------------


class Phrases:
    """Phrases that are looked for together, at the cost of one.

    Each step of each phrase is a bit of one number: set when the words so far have led to it. A word moves the bits
    whose steps take it on to the next step; the bit behind a phrase's last step says that it has been read.
    """

    def __init__(self, phrases: Iterable[Sequence[Step]]) -> None:
        self._words: defaultdict[str, int] = defaultdict(int)  # the bits of the steps that take this word
        self._beginnings: defaultdict[str, int] = defaultdict(int)  # … any word that begins so
        self._globs: defaultdict[tuple[str, ...], int] = defaultdict(int)  # … any word with these pieces
        self._begun = self._skipped = self._again = self._read = self._any = 0
        self._ends: dict[int, int] = {}  # from the number of the bit behind a phrase to the phrase's
        at = 0
        for index, steps in enumerate(phrases):
            self._begun |= 1 << at
            for step in steps:
                self._add(step, 1 << at)
                at += 1
            self._read |= 1 << at
            self._ends[at] = index
            at += 1
        self._longest_beginning = max(map(len, self._beginnings), default=0)
        self._begun = self._skip(self._begun)
        self._known = {word: self._taking(word) for word in self._words}

    def _add(self, step: Step, bit: int) -> None:
        for word in step.exactly:
            self._words[word] |= bit
        for pieces in step.globs:
            if not any(pieces):
                self._any |= bit
            elif len(pieces) == 2 and not pieces[1]:
                self._beginnings[pieces[0]] |= bit
            else:
                self._globs[pieces] |= bit
        self._skipped |= bit if step.skipped else 0
        self._again |= bit if step.again else 0

    def fit(self, spoken: Iterable[str]) -> bool:
        """True when the words, from the first to the last, are one of the phrases."""
        bits = self._begun
        for word in spoken:
            bits = self._after(bits, word)
            if not bits:
                return False
        return bool(bits & self._read)

    def among(self, spoken: Iterable[str]) -> Iterator[int]:
        """The numbers of the phrases that stand somewhere among the words, each once."""
        bits, read = self._begun, 0
        for word in spoken:
            bits = self._after(bits, word) | self._begun
            read |= bits & self._read
        return self._numbers(read)

    def ends(self, spoken: Iterable[str]) -> Iterator[tuple[int, int]]:
        """Wherever a phrase ends among the words: the number of the phrase, and of the word behind it."""
        bits = self._begun
        for at, word in enumerate(spoken, 1):
            bits = self._after(bits, word) | self._begun
            for number in self._numbers(bits & self._read):
                yield number, at

    def _numbers(self, read: int) -> Iterator[int]:
        while read:
            last = read & -read
            yield self._ends[last.bit_length() - 1]
            read ^= last

    def _after(self, bits: int, word: str) -> int:
        known = self._known.get(word)
        taken = bits & (self._taking(word) if known is None else known)
        again = taken & self._again
        return self._skip((taken ^ again) << 1 | again)

    def _skip(self, bits: int) -> int:
        """With the steps that are reached by skipping others."""
        more = bits
        while more := (more & self._skipped) << 1:
            bits |= more
        return bits

    def _taking(self, word: str) -> int:
        """The bits of all steps that take `word`."""
        bits = self._any | self._words.get(word, 0)
        for length in range(1, min(len(word), self._longest_beginning) + 1):
            bits |= self._beginnings.get(word[:length], 0)
        for pieces, steps in self._globs.items():
            if _globbed(word, pieces):
                bits |= steps
        return bits


def _globbed(word: str, pieces: tuple[str, ...]) -> bool:
    """True when `word` is the pieces in their order, with anything between them; the first that fits is the best."""
    first, *middle, last = pieces
    at, end = len(first), len(word) - len(last)
    if at > end or not word.startswith(first) or not word.endswith(last):
        return False
    for piece in middle:
        found = word.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
