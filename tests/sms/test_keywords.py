"""Replies that are orders, and replies that only contain the words."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline.sms.keywords import Keyword, classify

STOP = [
    # the lists, word by word
    *["STOP", "STOPALL", "STOP ALL", "QUIT", "END", "REVOKE", "OPTOUT", "OPT OUT", "OPT-OUT", "CANCEL", "UNSUBSCRIBE"],
    *["REMOVE", "TD", "ARRET", "BAJA", "ALTO", "NO MAS", "STOPP", "ABMELDEN", "SAIR", "PARAR", "CANCELLA"],
    # as people type them
    *["stop", "Stop.", " STOP ", "stop!!", "\tStop\r\n", "“STOP”", "*STOP*", "#stop", "S.T.O.P.", "s t o p"],
    *["opt-out", "Opt out!", "Opt_Out", "opt–out", "arrêt", "ARRE\u0302T", "¡No, más!", "STOP 🛑", "🙏 stop 🙏"],
    # as phones and keyboards send them
    *["STOP\u200b", "\ufeffSTOP", "\u200fstop\u200e", "\u2068STOP\u2069", "st\u00adop", "\u00a0stop\u00a0", "stop\x00"],
    *["ＳＴＯＰ", "𝗦𝗧𝗢𝗣", "ⓢⓣⓞⓟ", "Quİt"],
    " " * 5000 + "stop" + "\n" * 5000,
]
START = ["START", "start", "Start.", " START !", "UNSTOP", "unstop", "un-stop", "START 🙂", "start\u200b", "ＳＴＡＲＴ"]
HELP = ["HELP", "help", "Help?", "HELP!!!", "INFO", "info.", "h e l p"]
NONE = [
    *["", " ", "?!", "🛑", "\u200b", "\ud83d", "0", "1"],
    "Stop sending the blue ones",
    *["please stop", "stop it", "stopped", "stops", "nonstop", "don't stop", "stop2", "Stop start", "the end", "ENDE"],
    *["can't help it", "helpful", "information", "startup", "start again", "Start at 9?"],
    *["yes", "YES", "Y", "no", "OK", "si", "oui"],  # yes answers too many questions to lift a suppression
    *["un stop", "UN STOP, svp", "st art"],  # not believed to be START; a person reads it
    "С" + "TOP",  # a Cyrillic letter: no phone writes that by itself
    "stop" + "!" * 1000,
    "stop " * 1000,
]

CASES = [
    *((text, Keyword.STOP) for text in STOP),
    *((text, Keyword.START) for text in START),
    *((text, Keyword.HELP) for text in HELP),
    *((text, None) for text in NONE),
]


@pytest.mark.parametrize(("text", "keyword"), CASES, ids=lambda value: ascii(value)[:30])
def test_a_reply(text, keyword):
    """is an order when it is nothing but the word, however it is dressed."""
    assert classify(text) is keyword


noise = st.text(st.sampled_from(" .,;!?'\"*()-_\n\u200b\u200f\u2069\ufeff\u00a0🛑"), max_size=40)


@settings(max_examples=200)
@given(st.sampled_from(["stop", "unsubscribe", "help", "start"]), noise, noise)
def test_whatever_stands_around_the_word(word, before, after):
    """Punctuation, spaces, emoji and invisible marks on either side never hide it, nor does case."""
    assert classify(before + word + after) is classify(before + word.upper() + after) is classify(word) is not None


@settings(max_examples=200)
@given(
    st.sampled_from(["stop", "end", "help", "start"]), st.text(st.sampled_from("abcxyzжßé09"), min_size=1, max_size=9)
)
def test_more_than_the_word(word, more):
    """A further word makes it a sentence, and a sentence is no order."""
    assert classify(f"{word} {more}") is None


@pytest.mark.parametrize("character", ["a", " ", "!", "\u200b", "\ufdfa", "\u0315\u0300", "s t o p "], ids=ascii)
def test_a_hostile_reply(character):
    """of 64 KB, or the worst one of a keyword's length, costs no more than a moment."""
    long = (character * 65536)[:65536]

    begun = time.process_time()
    for text in (long, long[:160], "stop" + long, long[:156] + "stop"):
        classify(text)

    assert time.process_time() - begun < 0.05  # measured below 1 ms; room for a busy machine
