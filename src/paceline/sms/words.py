"""What are the letters and the words of a text, whatever they are dressed in?

Two readings of what people type, both blind to case, accents, full-width and other compatibility forms, emoji,
zero-width and direction marks: the letters, run together, and the words. Texts and what they are compared with go
through the same reading, so neither side can be spelled in a way that the other does not know.
"""

from __future__ import annotations

import unicodedata

_APOSTROPHES = dict.fromkeys(map(ord, "'’‘‛`´ʼ＇"))
"""They stand within a word: “don't” and “dont” are the same one. Removed first: some decompose into a blank."""


def letters(text: str) -> str:
    """The letters and digits of `text`, run together, without case and accents (decomposed, they are no letters)."""
    return "".join(filter(str.isalnum, _decomposed(text)))


def words(text: str, also: str = "") -> list[str]:
    """The words of `text`: its letters and digits, parted by whatever else is seen, in time linear in its length.

    What is not seen (accents, zero-width and direction marks, soft hyphens) and apostrophes part nothing. The
    characters of `also` count as letters.
    """
    plain = _decomposed(text)
    others: dict[str, str | int | None] = {
        character: character if character in also else "" if unicodedata.category(character) in _UNSEEN else " "
        for character in set(plain)
        if not character.isalnum()
    }
    return plain.translate(str.maketrans(others)).split()


def _decomposed(text: str) -> str:
    if not text.isascii():
        # Thousands of accents on one letter would be sorted, in time that grows with their square.
        text = "".join(character for character in text if not unicodedata.combining(character))
    return unicodedata.normalize("NFKD", text.translate(_APOSTROPHES)).casefold()


_UNSEEN = frozenset({"Mn", "Mc", "Me", "Cf"})
