"""What a fitted table makes of replies that no phrase of the rules knows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline.sms import hunch, intents
from paceline.sms.intents import ORDINARY, Certainty, Reading, read, read_by_rules
from paceline.sms.keywords import Keyword

from .optout_corpus import KINDS, fit, tune

DOUBTFUL = Reading(Keyword.STOP, Certainty.DOUBTFUL)
WORDS = ["stop", "texts", "me", "no", "please", "wrong", "number", "cancel", "onions", "at", "5", "help", "?", ",", "."]


def sound(text: str) -> float:
    return hunch.sound(text, list(intents.clauses(text)))


@pytest.mark.parametrize(
    "text",
    [
        *["please yank my number from your list", "whoever had this phone before me is gone"],
        *["ya no quiero nada de ustedes", "ich untersage die nutzung meiner nummer"],
        *["isso é invasão da minha privacidade", "mi state disturbando con questi avvisi"],
    ],
)
def test_what_no_phrase_knows(text: str) -> None:
    """is doubtful when it sounds like an order to stop."""
    assert read_by_rules(text) == ORDINARY
    assert read(text) == DOUBTFUL


@pytest.mark.parametrize(
    "text",
    ["can you hold the onions", "running late, start without me", "wo kann ich parken", "¿a qué hora abren?", ""],
)
def test_an_ordinary_reply(text: str) -> None:
    """sounds like none."""
    assert sound(text) < 0


@pytest.mark.parametrize(
    "text", ["cancel? no, what time is the appointment on friday", "my dad passed away, need to move the appointment"]
)
def test_a_guess_of_a_phrase(text: str) -> None:
    """is taken back when the reply sounds ordinary."""
    assert read_by_rules(text) == DOUBTFUL
    assert read(text) == ORDINARY


@pytest.mark.parametrize("word", ["LEAVE", "JOIN", "MENU", "scram"])
def test_a_single_word(word: str) -> None:
    """that no phrase knows is ordinary: a keyword rule may be waiting for it."""
    assert read(word) == ORDINARY


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_reply(text: str) -> None:
    """changes only between ordinary and doubtful: what is certain stays certain."""
    by_rules, both = read_by_rules(text), read(text)

    assert by_rules == both or {by_rules, both} == {ORDINARY, DOUBTFUL}


def test_signs() -> None:
    """Words, neighbours, letters, and kins, from one end of a clause to the other."""
    signs = hunch.signs("No mensajes!", [["no", "mensajes"]])

    assert {
        "no",
        "no mensajes",
        "^ no",
        "#mens",
        "NOT TEXTS",
        "^ NOT TEXTS",
        "TEXTS $",
        "NOT&TEXTS",
        "=2",
        "=!",
    } <= signs
    assert {"^", "$", "=?"}.isdisjoint(signs)


def test_why() -> None:
    """Every reading can be traced: the weights of the signs make up the sound."""
    text = "please yank my number from your list"
    told = hunch.why(text, list(intents.clauses(text)))

    assert told == sorted(told, key=lambda each: (-abs(each[1]), each[0]))
    assert sum(weight for _, weight in told) * hunch.scale(len(told)) + hunch._BIAS == pytest.approx(sound(text))


def test_a_long_text() -> None:
    """Sixty words are looked at: what comes later changes nothing."""
    text = "word " * hunch.MOST_WORDS

    assert sound(text) == sound(text + "please yank my number from your list")


# -- The table ---------------------------------------------------------------------------------------------------------


def test_what_the_table_was_made_from() -> None:
    """All that may be looked at and nothing else, by the signs of now; it is small enough to be read."""
    seen = fit.examples()

    assert sorted(example.text for example in seen) == sorted(
        line.partition(": ")[2] for kind in KINDS for lines in tune(kind).values() for line in lines
    )
    assert f"# {fit.fingerprint(seen)}\n" in fit.TABLE.read_text(encoding="utf-8"), "fit the weights anew"
    assert fit.TABLE.stat().st_size < 60_000


@pytest.mark.slow
def test_the_table_is_what_is_fitted() -> None:
    """Fitting anew gives the weights that are shipped, but for what a machine rounds otherwise."""
    made = fit.fit(fit.examples())
    shipped = {**hunch._WEIGHTS, "": hunch._BIAS}
    other = [sign for sign in {*made, *shipped} if abs(made.get(sign, 9) - shipped.get(sign, 9)) > 0.02]

    assert len(other) <= len(shipped) / 100
