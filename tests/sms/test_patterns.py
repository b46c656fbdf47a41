"""Keyword rules as people spell them, against a slow reading of the same language."""

import time
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paceline.sms.patterns import LONGEST_PATTERN, LONGEST_TEXT, Kind, compile_
from paceline.sms.words import letters, words

EXACT, FIRST_WORD, PATTERN = Kind.EXACT, Kind.FIRST_WORD, Kind.PATTERN

CASES = [
    (EXACT, "PIZZA, opt out", ["pizza", " Pízza!! 🍕", "OPT-OUT", "optout", "Ｐｉｚｚａ"], ["pizza please", "opt", ""]),
    (EXACT, "don't", ["dont", "DON’T"], ["don"]),
    (FIRST_WORD, "JOIN, e-mail", ["join", "Join us", "JOIN,thanks", "E-mail me", "…join"], ["rejoin", "we join", ""]),
    (PATTERN, "pizza", ["Pizza.", "pízza"], ["pizza please", "pizzas", ""]),
    (PATTERN, "pick* up", ["pick up", "picked UP!", "picking-up"], ["pick it up", "pickup", "up"]),
    (PATTERN, "... pizza|pasta ...", ["pizza", "one pasta please", "pizza pizza"], ["pizzas", "past", ""]),
    (PATTERN, "order ... pizza", ["order pizza", "order me a big pizza"], ["pizza order", "order pizza now"]),
    (PATTERN, "order ...2 pizza", ["order pizza", "order a big pizza"], ["order me a big pizza"]),
    (PATTERN, "table for *", ["table for 4", "Table for two!"], ["table for", "table for 4 people"]),
    (PATTERN, "*burger ..., ho*d*g", ["hamburger", "cheeseburger now", "hotdog", "HOUNDDOG"], ["burg", "hot dog"]),
    (PATTERN, "don't … call", ["dont call", "don’t you ever call"], ["do not call"]),
    (PATTERN, "e-mail me", ["e-mail me", "E mail me"], ["email me"]),
    (PATTERN, "menu,", ["menu"], ["menus"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spelled", "fit", "others"), CASES, ids=lambda value: ascii(value)[:30])
def test_a_rule(kind: Kind, spelled: str, fit: list[str], others: list[str]) -> None:
    """fits what it spells, however that is dressed, and nothing else."""
    pattern = compile_(kind, spelled)

    assert [text for text in fit if not pattern.matches(text)] == []
    assert [text for text in others if pattern.matches(text)] == []


@pytest.mark.parametrize(
    ("kind", "spelled", "says"),
    [
        (PATTERN, "", "empty: write at least one word"),
        (EXACT, " , ", "empty: write"),
        (PATTERN, "a, ...", "At character 4: no word is named here"),
        (PATTERN, "... *", "At character 1: no word"),
        (PATTERN, "a || b", "At character 3: a word is missing beside “|”"),
        (PATTERN, "one|", "At character 5: a word is missing"),
        (PATTERN, "e-mail|text", "At character 1: “e-mail” is 2 words"),
        (PATTERN, "a ..b", "At character 3: a gap is three dots with blanks around it"),
        (PATTERN, "a...b", "At character 1: a gap is three dots"),
        (PATTERN, "a ...0 b", "At character 3: a gap holds 1 to 9 words"),
        (PATTERN, "a ...12 b", "At character 3: a gap holds 1 to 9 words"),
        (PATTERN, "x, y (a+)+", "At character 6: “(” means nothing here"),
        (PATTERN, "^stop", "At character 1: “^” means nothing here"),
        (PATTERN, "a ! b", "At character 3: “!” has no letter or digit"),
        (EXACT, "piz*", "At character 4: “*” means nothing in a rule of the kind exact"),
        (FIRST_WORD, "a, b|c", "At character 5: “|” means nothing"),
        (FIRST_WORD, "opt out", "At character 1: “opt out” is more than one word"),
        (EXACT, "yes, !", "At character 5: there is no letter or digit"),
        (EXACT, "x" * (LONGEST_PATTERN + 1), "has 301 characters and may have 300"),
        ("fuzzy", "x", "'fuzzy' is not a valid Kind"),
    ],
)
def test_a_rule_that_cannot_be_read(kind: Kind, spelled: str, says: str) -> None:
    """is refused with what is wrong, where, and what to do."""
    with pytest.raises(ValueError) as refused:
        compile_(kind, spelled)

    assert says in str(refused.value)


# -- Against an oracle -------------------------------------------------------------------------------------------------

GAPS = ["...", "...1", "...2"]
pieces = st.one_of(
    st.text("ab", min_size=1, max_size=2),
    st.text("ab*", min_size=1, max_size=4),
    st.lists(st.text("ab*", min_size=1, max_size=2), min_size=2, max_size=3).map("|".join),
    st.sampled_from(GAPS),
)
phrases = st.lists(pieces, min_size=1, max_size=5).filter(lambda phrase: set("".join(phrase)) & set("ab"))
texts = st.lists(st.text("ab", min_size=1, max_size=3), max_size=6)


def fits(phrase: list[str], spoken: list[str]) -> bool:
    """The language as one would explain it: try every way of sharing the words out among the pieces."""
    if not phrase:
        return not spoken
    piece, *rest = phrase
    if piece in GAPS:
        most = int(piece[3:] or len(spoken))
        return any(fits(rest, spoken[taken:]) for taken in range(min(most, len(spoken)) + 1))
    return bool(spoken) and any(globbed(one, spoken[0]) for one in piece.split("|")) and fits(rest, spoken[1:])


def globbed(glob: str, word: str) -> bool:
    if not glob:
        return not word
    if glob[0] == "*":
        return any(globbed(glob[1:], word[taken:]) for taken in range(len(word) + 1))
    return word[:1] == glob[0] and globbed(glob[1:], word[1:])


@settings(max_examples=600, deadline=None)
@given(st.lists(phrases, min_size=1, max_size=3), texts)
@example([["...", "a", "...", "a"]], ["a", "b", "a", "b", "a"])
@example([["a*b*a"]], ["aba"])
@example([["ab*ba"]], ["aba"])
def test_a_pattern_against_the_slow_reading(spelled: list[list[str]], spoken: list[str]) -> None:
    """Both say the same of any pattern and any text."""
    pattern = compile_(PATTERN, ", ".join(map(" ".join, spelled)))

    assert pattern.matches(" ".join(spoken)) is any(fits(phrase, spoken) for phrase in spelled)


def test_the_oracle_bites() -> None:
    """Among short texts some fit and some do not, for every piece of the language."""
    for phrase in (["a", "...", "b"], ["a", "...1", "b"], ["*a"], ["a|b", "a"]):
        verdicts = {fits(phrase, list(text)) for size in range(4) for text in product("ab", repeat=size)}
        assert verdicts == {True, False}


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_as_a_rule(spelled: str) -> None:
    """is refused with a `ValueError`, or fits what it spells if that has no signs."""
    for kind in Kind:
        try:
            pattern = compile_(kind, spelled)
        except ValueError:
            continue
        if not set(spelled) & set("*|.…＊,") and not any(c in "*|.," for c in "".join(words(spelled, also="*|.,"))):
            assert pattern.matches(spelled)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_the_words_of_any_text(text: str) -> None:
    """are its letters, parted: both readings know the same ones."""
    assert "".join(words(text)) == letters(text)


# -- What it may cost --------------------------------------------------------------------------------------------------

HOSTILE_PATTERNS = [
    "... " + "a ... " * 48 + "b",
    "...9 a " * 42,
    "|".join(f"*{character}*" for character in "abcdefghijklmnopqrstuvwxyz0123456789" * 2)[: LONGEST_PATTERN - 1] + "z",
    "a*" * 149,
    "*a*a*a*a*b|" * 27 + "c",
]
HOSTILE_TEXTS = ["a ", "a", "aab ", "\ufdfa", "\u0315\u0300", "🍕", "a1 b2 c3 d4 e5 f6 g7 h8 "]


@pytest.mark.parametrize("spelled", HOSTILE_PATTERNS, ids=lambda spelled: spelled[:12])
def test_a_hostile_pattern_and_a_text_of_64_kb(spelled: str) -> None:
    """cost no more than a moment of the processor, together."""
    for piece in HOSTILE_TEXTS:
        begun = time.process_time()
        compile_.__wrapped__(PATTERN, spelled).matches((piece * 65536)[:65536])

        assert time.process_time() - begun < 0.05  # measured below 10 ms; room for a busy machine


def test_a_text_longer_than_is_read() -> None:
    """Ten segments are read, after blanks at both ends."""
    pattern = compile_(PATTERN, "pizza ...")

    assert pattern.matches(" " * 9000 + "pizza " + "now " * 9000)
    assert not compile_(PATTERN, "... pizza").matches("x" * LONGEST_TEXT + " pizza")
