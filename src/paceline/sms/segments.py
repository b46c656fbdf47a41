"""How many segments does a text become, in which encoding, and which characters make it dear?

One SMS carries 140 octets: 160 septets of GSM-7 or 70 16-bit units of UCS-2. A longer text goes out in segments
with a 6-octet header each, which leaves 153 septets or 67 units. One character outside the GSM tables turns the
whole text into UCS-2. (3GPP TS 23.038 for the tables, TS 23.040 for the header; the national shift tables are
left out, since hardly any provider uses them by default.)

Counts are what the provider will bill in all likelihood, yet an estimate: some keep an emoji sequence whole where
we cut between its code points, some may use the longer 7-octet header. Their own count replaces ours when it comes.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

Encoding = Literal["GSM-7", "UCS-2"]

GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
"""The default alphabet, in the order of its codes: `GSM_BASIC[0x41] == "A"`. 0x1B is the escape to the extension
table and no character of its own."""

GSM_EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
"""Characters that cost two septets: the escape, then this code."""


@dataclass(frozen=True, slots=True)
class Offender:
    """A character that GSM-7 does not have, and its position in the text (code points, from 0)."""

    character: str
    position: int

    @property
    def name(self) -> str:
        """Unicode's name for it, or its code point where Unicode gives none (controls, lone surrogates)."""
        return unicodedata.name(self.character, f"U+{ord(self.character):04X}")


@dataclass(frozen=True, slots=True)
class Segments:
    """What a text costs. Units are septets in GSM-7 and 16-bit units in UCS-2."""

    encoding: Encoding
    count: int
    units: int
    units_per_segment: tuple[int, ...]
    left: int  # units that still fit into the last segment as it stands
    offenders: tuple[Offender, ...] = ()  # what forces UCS-2, in order; empty in GSM-7


class _Alphabet(NamedTuple):
    encoding: Encoding
    whole: int  # units of a text that goes out alone
    part: int  # units of each segment of a longer one
    double: re.Pattern[str]  # the characters that cost two units, which no boundary may divide


_ONE_SEPTET = re.escape(GSM_BASIC.replace("\x1b", ""))
_TWO_SEPTETS = re.escape("".join(GSM_EXTENSION.values()))
_NOT_BASIC = re.compile(f"[^{_ONE_SEPTET}]")
_NOT_GSM = re.compile(f"[^{_ONE_SEPTET}{_TWO_SEPTETS}]")

_GSM_7 = _Alphabet("GSM-7", 160, 153, re.compile(f"[{_TWO_SEPTETS}]"))
_UCS_2 = _Alphabet("UCS-2", 70, 67, re.compile("[\U00010000-\U0010ffff]"))


def segments(text: str) -> Segments:
    """What `text` costs as it stands; it is not normalised, and CR LF are two characters.

    Promises that no segment exceeds its limit and that neither an escape pair nor a surrogate pair straddles two.
    An empty text is GSM-7 with no segments. A lone surrogate, as broken JSON can bring it, costs one UCS-2 unit and is
    an offender.
    """
    if len(text) <= _GSM_7.whole and _NOT_BASIC.search(text) is None:
        return _plain(len(text))
    alphabet = _alphabet(text)
    return _segments(
        alphabet,
        tuple(units for _, units in _cuts(text, alphabet)),
        tuple(Offender(found[0], found.start()) for found in _NOT_GSM.finditer(text)),
    )


def count(text: str) -> int:
    """Only the number of segments: `segments(text).count` without the offenders, for texts by the thousand."""
    if len(text) <= _GSM_7.whole and _NOT_BASIC.search(text) is None:
        return 1 if text else 0
    return len(_cuts(text, _alphabet(text)))


def split(text: str) -> list[str]:
    """The text of each segment, in order; joined they are `text` again."""
    pieces, start = [], 0
    for end, _ in _cuts(text, _alphabet(text)):
        pieces.append(text[start:end])
        start = end
    return pieces


def _alphabet(text: str) -> _Alphabet:
    return _GSM_7 if _NOT_GSM.search(text) is None else _UCS_2


def _cuts(text: str, alphabet: _Alphabet) -> list[tuple[int, int]]:
    """For each segment, where it ends in `text` and how many units it holds."""
    if not text:
        return []
    part = alphabet.part
    pairs = alphabet.double.findall(text)
    units = len(text) + len(pairs)
    if units <= alphabet.whole:
        return [(len(text), units)]
    if not pairs:
        return [(min(start + part, units), min(part, units - start)) for start in range(0, units, part)]

    # Dividing the total is wrong here: a segment ends one unit short where a pair would straddle its end.
    double = frozenset(pairs)
    cuts, used = [], 0
    for position, character in enumerate(text):
        cost = 2 if character in double else 1
        if used + cost > part:
            cuts.append((position, used))
            used = 0
        used += cost
    cuts.append((len(text), used))
    return cuts


def _segments(alphabet: _Alphabet, units: tuple[int, ...], offenders: tuple[Offender, ...] = ()) -> Segments:
    limit = alphabet.whole if len(units) <= 1 else alphabet.part
    left = limit - units[-1] if units else limit
    return Segments(alphabet.encoding, len(units), sum(units), units, left, offenders)


@cache  # at most 161 values: what makes the common case cheap is not to build it anew
def _plain(septets: int) -> Segments:
    return _segments(_GSM_7, (septets,) if septets else ())


_LOOKALIKES = {
    '"': "AB BB 2BA 2EE 201C-201F 275D 275E 301D 301E FF02",
    "'": "60 B4 2B9 2BB-2BD 2C8 2CA 2CB 2018 2019 201B 275B 275C FE10 FE11 FF07",
    ",": "201A 3001 FE50 FE51 FF0C FF64",
    "-": "2010 2013-2015 2022 2043 23BC 23BD FE63 FF0D",
    "_": "2017 FF3F",
    "...": "2026",
    ".": "3002 FE52 FF0E FF61",
    ":": "2D0 2F8 2982 A789 FE13 FF1A",
    ";": "204F FE14 FE54 FF1B",
    "!!": "203C",
    "!": "1C3 FE15 FE57 FF01",
    "?": "FE16 FE56 FF1F",
    "1/4": "BC",
    "1/2": "BD",
    "3/4": "BE",
    "/": "F7 2044 2215 29F8 FF0F",
    "\\": "29F5 29F9 FE68 FF3C",
    "|": "2223 23B8 23B9 23D0 239C 239F FF5C",
    "<": "2039 FE64 FF1C",
    ">": "203A FE65 FF1E",
    "(": "2768 276A 27EE 2985 FE59 FF08",
    ")": "2769 276B 27EF 2986 FE5A FF09",
    "{": "2774 FE5B FF5B",
    "}": "2775 FE5C FF5D",
    "[": "FF3B",
    "]": "FF3D",
    "^": "2C6 FF3E",
    "~": "2DC 2F7 223C FF5E",
    "*": "204E 2217 229B 2722-2725 2731-2733 273A-273D 2743 2749-274B 29C6 FE61 FF0A",
    "+": "2D6 FE62 FF0B",
    "=": "A78A FE66 FF1D",
    "#": "FE5F FF03",
    "$": "FE69 FF04",
    "%": "FE6A FF05",
    "&": "FE60 FF06",
    "@": "FE6B FF20",
    " ": "9 A0 2000-200A 2028 2029 202F 205F 3000",  # tab, no-break space, the widths of space, line separators
    "": "0 3 4 10-14 17 19 200B 200C 2060 FEFF",  # controls that show nothing, zero-width characters
}
"""Typographic characters by the GSM look-alike that replaces them: code points in hexadecimal, ranges inclusive.

It follows the map that Twilio publishes for its smart encoding, with one space for a no-break space and for a tab.
Its combining marks are left out: they belong to the letter before them, and `ñ` written as n + U+0303 is not `n~`.
"""

_SMALL_CAPITALS = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ"
_FULL_WIDTH = [*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B)]  # digits and capitals, 0xFEE0 above ASCII


def _code_points(spec: str) -> list[int]:
    """The code points that a row of the table names: "9 A0 2000-200A"."""
    ends = [[int(end, 16) for end in item.split("-")] for item in spec.split()]
    return [code for end in ends for code in range(end[0], end[-1] + 1)]


SMART = {
    **{code: target for target, spec in _LOOKALIKES.items() for code in _code_points(spec)},
    **{code: chr(code - 0xFEE0) for code in _FULL_WIDTH},
    **dict(zip(map(ord, _SMALL_CAPITALS), "ABCDEFGHIJKLMNOPRSTUVWYZ", strict=True)),
}
"""Code point → its replacement, as `str.translate` takes it."""


def smart(text: str) -> str:
    """`text` with typographic characters replaced by their GSM look-alikes: “don’t…” becomes "don't...".

    It replaces all of them, whether or not the whole text becomes GSM-7 by it, so that an author's words read the same
    to every recipient, whatever a name or another field brings in. Accented letters and emoji are left alone, and what
    GSM-7 has already never changes.
    """
    return text if _NOT_GSM.search(text) is None else text.translate(SMART)


def smart_saves(text: str) -> int:
    """How many segments `smart` would save; negative where "..." for "…" is one more in a text that stays UCS-2."""
    return count(text) - count(smart(text))
