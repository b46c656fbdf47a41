"""How a text becomes billable segments. The table is the specification; the properties say that nothing escapes it."""

import gsm0338
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paceline.sms.segments import GSM_BASIC, GSM_EXTENSION, SMART, Offender, count, segments, smart, smart_saves, split

WORKED_EXAMPLES = [
    # text, encoding, units in each segment, code points in each segment
    ("Hello from Paceline", "GSM-7", [19], [19]),
    ("a" * 160, "GSM-7", [160], [160]),
    ("a" * 161, "GSM-7", [153, 8], [153, 8]),
    ("a" * 306, "GSM-7", [153, 153], [153, 153]),
    ("a" * 307, "GSM-7", [153, 153, 1], [153, 153, 1]),
    ("a" * 158 + "€", "GSM-7", [160], [159]),
    ("a" * 159 + "€", "GSM-7", [153, 8], [153, 7]),
    ("a" * 152 + "€" + "b" * 20, "GSM-7", [152, 22], [152, 21]),
    ("a" * 152 + "€" + "b" * 152, "GSM-7", [152, 153, 1], [152, 152, 1]),
    ("€" * 80, "GSM-7", [160], [80]),
    ("€" * 81, "GSM-7", [152, 10], [76, 5]),
    ("€" * 153, "GSM-7", [152, 152, 2], [76, 76, 1]),
    ("[link] {a|b} ~ ^ \\ €", "GSM-7", [29], [20]),
    ("ΔΦΓΛΩΠΨΣΘΞ", "GSM-7", [10], [10]),
    ("¤ ß Æ Å å Ç", "GSM-7", [11], [11]),
    ("¡Hola! ¿Qué tal, señor? Ñandú", "UCS-2", [29], [29]),
    ("Façade " * 10, "UCS-2", [70], [70]),
    ("a\r\nb", "GSM-7", [4], [4]),
    ("a" * 1600, "GSM-7", [153] * 10 + [70], [153] * 10 + [70]),
    ("ж" * 70, "UCS-2", [70], [70]),
    ("ж" * 71, "UCS-2", [67, 4], [67, 4]),
    ("ж" * 134, "UCS-2", [67, 67], [67, 67]),
    ("ж" * 135, "UCS-2", [67, 67, 1], [67, 67, 1]),
    ("Hi 😀", "UCS-2", [5], [4]),
    ("😀" * 35, "UCS-2", [70], [35]),
    ("😀" * 36, "UCS-2", [66, 6], [33, 3]),
    ("😀" * 67, "UCS-2", [66, 66, 2], [33, 33, 1]),
    ("a" * 66 + "😀" + "b" * 10, "UCS-2", [66, 12], [66, 11]),
    ("It’s “quoted” — see…", "UCS-2", [20], [20]),
]


@pytest.mark.parametrize(("text", "encoding", "units", "characters"), WORKED_EXAMPLES)
def test_worked_examples(text, encoding, units, characters):
    """Encoding, count, units and cuts are those on which independent programs agree."""
    cost = segments(text)

    assert (cost.encoding, cost.count, cost.units) == (encoding, len(units), sum(units))
    assert list(cost.units_per_segment) == units
    assert [len(piece) for piece in split(text)] == characters
    assert count(text) == len(units)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", 160),
        ("a" * 74, 86),
        ("a" * 160, 0),
        ("a" * 161, 145),
        ("a" * 152 + "€" + "b" * 20, 131),
        ("€", 158),
        ("ж", 69),
        ("ж" * 70, 0),
        ("ж" * 71, 63),
        ("😀" * 36, 61),
    ],
)
def test_what_is_left(text, left):
    """`left` is what still fits into the last segment as it stands, in its units."""
    assert segments(text).left == left


def test_an_empty_text():
    """costs nothing: GSM-7, no segments."""
    cost = segments("")

    assert (cost.encoding, cost.count, cost.units, cost.units_per_segment) == ("GSM-7", 0, 0, ())
    assert split("") == []
    assert count("") == 0


def test_the_offenders_are_named_in_order():
    """An author learns which characters force UCS-2, where they stand (in code points) and what they are called."""
    cost = segments("😀 don’t {x} ç\t")

    assert cost.offenders == (Offender("😀", 0), Offender("’", 5), Offender("ç", 12), Offender("\t", 13))
    assert [offender.name for offender in cost.offenders] == [
        "GRINNING FACE",
        "RIGHT SINGLE QUOTATION MARK",
        "LATIN SMALL LETTER C WITH CEDILLA",
        "U+0009",
    ]


@pytest.mark.parametrize("character", ["ç", "á", "À", "È", "Α", "`", "\t", "\x1b", "ܧ", "\u00a0"])
def test_characters_that_look_like_gsm_but_are_not(character):
    """Each of them alone turns a text into UCS-2."""
    assert segments(f"a{character}").offenders == (Offender(character, 1),)


def test_a_lone_surrogate():
    """as broken JSON brings it, is one UCS-2 unit and an offender, not a crash."""
    cost = segments("a\ud83d")

    assert (cost.encoding, cost.units, cost.count) == ("UCS-2", 2, 1)
    assert cost.offenders == (Offender("\ud83d", 1),)
    assert cost.offenders[0].name == "U+D83D"
    assert split("\ud83d" * 71) == ["\ud83d" * 67, "\ud83d" * 4]
    assert smart("\ud83d") == "\ud83d"


GSM = gsm0338.Codec()  # an independent table of the alphabet; it takes ESC for a character, we do not

# An implementation written the other way round: encode first, then walk over the bytes.


def _by_bytes(text):
    """Encoding and units per segment, from the octets that would be sent."""
    try:
        septets = GSM.encode(text)[0] if "\x1b" not in text else None
    except UnicodeEncodeError:
        septets = None
    if septets is not None:
        return "GSM-7", _walk(list(septets), 160, 153, lambda septet: septet == 0x1B)
    octets = text.encode("utf-16-be", "surrogatepass")
    return "UCS-2", _walk(list(octets[::2]), 70, 67, lambda high: 0xD8 <= high <= 0xDB)


def _walk(units, whole, part, opens_a_pair):
    if len(units) <= whole:
        return [len(units)] if units else []
    sizes = []
    while units:
        size = min(part, len(units))
        if size < len(units) and opens_a_pair(units[size - 1]):
            size -= 1
        sizes.append(size)
        units = units[size:]
    return sizes


ONE = "aZ é@Δ\n"
TWO = "".join(GSM_EXTENSION.values())
BMP = "жçá’…\u00a0\x1b"
ASTRAL = "😀🇪🏽𝒳"


@st.composite
def texts(draw):
    """Texts of few kinds of characters, most of them as long as a boundary give or take a few."""
    runs = draw(st.lists(st.tuples(st.sampled_from([ONE, ONE, TWO, BMP, ASTRAL]), st.integers(0, 80)), max_size=4))
    text = "".join(draw(st.sampled_from(kind)) * length for kind, length in runs)
    boundary = draw(st.sampled_from([0, 35, 67, 70, 76, 134, 152, 153, 160, 201, 306, 459]))
    filler = draw(st.sampled_from(ONE + TWO + BMP + ASTRAL))
    return text + filler * max(0, boundary + draw(st.integers(-2, 2)) - len(text))


@settings(max_examples=400, deadline=None)
@given(st.one_of(texts(), st.text(max_size=200)))
@example("a" * 152 + "€" + "b" * 152)
@example("ж" * 66 + "😀" + "ж" * 66 + "😀")
def test_any_text_is_counted_as_its_octets_say(text):
    """The same encoding, count and units per segment as from the encoded message."""
    encoding, units = _by_bytes(text)

    cost = segments(text)

    assert (cost.encoding, list(cost.units_per_segment), cost.units) == (encoding, units, sum(units))
    assert cost.count == count(text) == len(units)


@settings(max_examples=400, deadline=None)
@given(texts())
def test_any_split_is_whole_and_fits(text):
    """Nothing is lost or moved, and every segment stands alone within its limit."""
    pieces = split(text)

    assert "".join(pieces) == text
    encoding, units = _by_bytes(text)
    assert [_units(piece, encoding) for piece in pieces] == units
    limit = {"GSM-7": (160, 153), "UCS-2": (70, 67)}[encoding][len(pieces) > 1]
    assert all(0 < size <= limit for size in units)


def _units(piece, encoding):
    if encoding == "UCS-2":
        return len(piece.encode("utf-16-be", "surrogatepass")) // 2
    return len(GSM.encode(piece)[0])


def test_the_tables_hold_their_places():
    """128 codes, ten extensions, no character twice."""
    assert len(GSM_BASIC) == 128
    assert GSM_BASIC[0x1B] == "\x1b"
    assert len(set(GSM_BASIC) | set(GSM_EXTENSION.values())) == 138
    assert all(GSM.encode(c)[0] == bytes([code]) for code, c in enumerate(GSM_BASIC) if c != "\x1b")
    assert all(GSM.encode(c)[0] == bytes([0x1B, code]) for code, c in GSM_EXTENSION.items())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It’s “quoted” — see…", 'It\'s "quoted" - see...'),
        ("non\u00a0breaking", "non breaking"),
        ("thin\u2009space\u2003em\u3000wide", "thin space em wide"),
        ("z\u200bw\ufeff", "zw"),
        ("tab\there", "tab here"),
        ("`code`", "'code'"),
        ("«1» ‹2›", '"1" <2>'),
        ("½ ¼ ¾ ‼", "1/2 1/4 3/4 !!"),
        ("ＡＺ０９！？", "AZ09!?"),
        ("ᴀʙᴢʏ", "ABZY"),
        ("• one ✽ two", "- one * two"),
        ("é à ñ á ç ê Ł", "é à ñ á ç ê Ł"),
        ("man\u0303ana", "man\u0303ana"),
        ("👨\u200d👩\u200d👧 😀", "👨\u200d👩\u200d👧 😀"),
        ("don’t 😀", "don't 😀"),
        ("", ""),
    ],
)
def test_smart(text, expected):
    """Look-alikes are replaced, accented letters and emoji are not."""
    assert smart(text) == expected


def test_every_replacement_is_gsm():
    """What `smart` writes never forces UCS-2, and what it replaces always does."""
    for code, replacement in SMART.items():
        assert segments(replacement).encoding == "GSM-7", f"U+{code:04X}"
        assert segments(chr(code)).encoding == "UCS-2", f"U+{code:04X}"


@settings(max_examples=200)
@given(st.text(st.sampled_from([*map(chr, SMART), *"aé€ж😀"]), max_size=200))
def test_smart_text_stays_as_it_is(text):
    """A second time changes nothing, and a text without other characters has become GSM-7."""
    once = smart(text)

    assert smart(once) == once
    assert segments(once).encoding == ("UCS-2" if set(text) & set("ж😀") else "GSM-7")


@pytest.mark.parametrize(("text", "saved"), [("’" + "a" * 159, 2), ("plain", 0), ("😀" + "…" * 68, -3)])
def test_what_smart_saves(text, saved):
    """Segments without, less segments with it: a loss shows too."""
    assert smart_saves(text) == saved


def test_a_text_that_grows_until_nothing_is_left():
    """stays one segment to the last unit; the next character makes it two."""
    text = "Ünïted"

    grown = text + "a" * segments(text).left

    assert segments(grown).left == 0
    assert (count(grown), count(grown + "a")) == (1, 2)
