"""Is this reply an order to stop, to start again, or a call for help?

Only a reply that is nothing but the word counts: "Stop." and "OPT OUT", not "Stop sending the blue ones". Because it is
certain, it takes effect at once, without a person; what is said more freely is read in `intents`.

The stop words are the union of the FCC's list (47 CFR 64.1200(a)(10)), the defaults of Twilio, AWS and Telnyx and
CTIA's core five, with words of five further languages. Those further words are our choice and rest on no rule; add the
local ones where the law knows them.
"""

from __future__ import annotations

from enum import StrEnum

from .words import letters


class Keyword(StrEnum):
    """What a reply orders."""

    STOP = "stop"
    START = "start"
    HELP = "help"


_WORDS = {
    Keyword.STOP: (
        "STOP, STOP ALL, QUIT, END, REVOKE, OPT OUT, CANCEL, UNSUBSCRIBE, REMOVE, TD, "
        "ARRET, "  # French
        "BAJA, ALTO, NO MAS, "  # Spanish
        "STOPP, ABMELDEN, "  # German
        "SAIR, PARAR, "  # Portuguese
        "CANCELLA"  # Italian
    ),
    Keyword.START: "START, UNSTOP",  # not YES: too often the answer to something else to lift a suppression
    Keyword.HELP: "HELP, INFO",
}

LONGEST_TEXT = 160
"""Characters, after blanks at both ends. One SMS holds no more, and a longer text says more than one word."""


def classify(text: str) -> Keyword | None:
    """The order that the whole of `text` is, or None. Takes well under a millisecond, whatever the text.

    Blind to case, accents, full-width and other compatibility forms, and to everything around and between the letters
    that is neither letter nor digit: punctuation, spaces, emoji, zero-width and direction marks. One exception: a START
    that is spread over words ("un stop") is not believed, since texting somebody unasked is worse than not texting.
    """
    text = text.strip()
    if len(text) > LONGEST_TEXT:
        return None
    spelled = letters(text)
    keyword = _KEYWORDS.get(spelled)
    if keyword is Keyword.START and spelled not in map(letters, text.split()):
        return None
    return keyword


_KEYWORDS = {letters(word): keyword for keyword, words in _WORDS.items() for word in words.split(",")}
