"""Numbers as people type them, and the promise that the short cut never says yes where the library says no."""

import random
import re
import subprocess
import sys
import timeit

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline.sms.errors import InvalidNumber
from paceline.sms.numbers import MAX_DIGITS, _pattern_accepts, is_valid, normalize, regions

CALLING_CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
NORTH_AMERICA = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1])
KINDS = [
    "general_desc",
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
]


def library(raw: str, region: str | None = None) -> str | None:
    """libphonenumber's own verdict, without any of our code."""
    try:
        parsed = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return number if len(number) <= MAX_DIGITS + 1 else None


def ours(raw: str, region: str | None = None) -> str | None:
    try:
        return normalize(raw, region)
    except InvalidNumber:
        return None


def plans():
    """Every kind of number in every region: calling code and the library's description of it."""
    for code, shared_by in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        for region in shared_by:
            plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            for desc in (getattr(plan, kind) for kind in KINDS):
                if desc and desc.national_number_pattern:
                    yield code, desc


EXAMPLES = sorted({f"+{code}{desc.example_number}" for code, desc in plans() if desc.example_number})
SHAPES = sorted({(code, desc.national_number_pattern) for code, desc in plans()})

SPELLINGS = [
    ("+17185550126", None, "+17185550126"),
    ("(718) 555-0126", "US", "+17185550126"),
    ("718-555-0125", "US", "+17185550125"),
    ("718.555.0125", "CA", "+17185550125"),
    ("7185550174", "us", "+17185550174"),
    ("1 512 555 0160", "US", "+15125550160"),
    ("17185550126", "US", "+17185550126"),
    ("+1 (718) 555-0153", "GB", "+17185550153"),
    (" 360 555 0178 ", "US", "+13605550178"),
    ("617\u2011555\u20110146", "US", "+16175550146"),  # non-breaking hyphens
    ("617\u00a0555\u00a00146", "US", "+16175550146"),  # non-breaking spaces
    ("\uff0b13605550188", None, "+13605550188"),  # full-width plus
    ("＋１２０６５５５０１８５", None, "+12065550185"),  # and digits
    ("٢٠٦٥٥٥٠١٨٥", "US", "+12065550185"),  # Arabic-Indic digits
    ("\u202a+13125550148\u202c", "US", "+13125550148"),  # bidirectional marks
    ("'+13125550148", "US", "+13125550148"),  # the apostrophe that makes a spreadsheet keep it
    ("tel:+1-415-555-0121", None, "+14155550121"),
    ("tel:415-555-0121;phone-context=+1", None, "+14155550121"),
    ("001 718 555 0114", "US", "+17185550114"),
    ("\u202a0044 7400 123457", "US", "+447400123457"),
    ("0044 7400 123457", None, "+447400123457"),
    ("011 44 7400 123457", "US", "+447400123457"),
    ("0011 44 7400 123457", "AU", "+447400123457"),  # Australia dials abroad with 0011
    ("07400 123457", "GB", "+447400123457"),
    ("+44 (0)7400 123457", "US", "+447400123457"),
    ("06 1234 5678", "IT", "+390612345678"),  # Italy keeps its zero
    ("1-718-555-CALL", "US", "+17185552255"),
    ("+1 206 555 0185 ext. 12", None, "+12065550185"),
    ("tel:+1-206-555-0185;ext=12", None, "+12065550185"),
]


@pytest.mark.parametrize(("raw", "region", "number"), SPELLINGS)
def test_spelling(raw, region, number):
    """However people type it, it becomes the same number."""
    assert normalize(raw, region) == number
    assert is_valid(raw, region)


REFUSALS = [
    ("", "US", "empty"),
    (" \u00a0 ", "US", "empty"),
    ("-", "US", "empty"),
    ("n/a", "US", "letters"),
    ("call me", "US", "letters"),
    ("ada@example.org", "US", "letters"),
    ("206-555-012x9", "US", "letters"),
    ("12345", "US", "too_short"),
    ("555-0123", "US", "too_short"),
    ("+1 206 555 01", None, "too_short"),
    ("tel:555-0123", "US", "too_short"),
    ("7", "US", "too_short"),
    ("(206) 555-01234567", "US", "too_long"),
    ("206-555-0185 206-555-0186", "US", "too_long"),
    ("9" * 300, "US", "too_long"),
    ("2.06556e+09", "US", "spreadsheet"),
    ("4.477E+11", "GB", "spreadsheet"),
    ("4,477E+11", "DE", "spreadsheet"),
    ("718-555-0126", None, "unknown_country"),
    ("718-555-0126", "UK", "unknown_country"),
    ("+999 1234567", "US", "unknown_country"),
    ("+1 000 555 0100", "US", "not_valid"),
]


@pytest.mark.parametrize(("raw", "region", "reason"), REFUSALS)
def test_refusal(raw, region, reason):
    """What is no number is refused with a machine word, and a sentence that a person can act on."""
    with pytest.raises(InvalidNumber) as refusal:
        normalize(raw, region)

    assert refusal.value.reason == reason
    assert str(refusal.value).endswith(".")
    assert not is_valid(raw, region)


def test_rounded_number_that_would_pass_for_another_one():
    """2065550190 in scientific notation has ten digits that the library reads as somebody else's number."""
    raw = "2.06555019E9"

    assert library(raw, "US") == "+12065550199"
    assert ours(raw, "US") is None


def test_more_digits_than_a_telephone_number_has():
    """The library takes up to 17 digits in Germany; E.164, and a column for it, end at 15."""
    raw = "+493012345678901"

    assert normalize(raw) == raw
    with pytest.raises(InvalidNumber) as refusal:
        normalize(raw + "2")
    assert refusal.value.reason == "too_long"


def test_missing_country_and_wrong_country_read_differently():
    """The sentence says whether the caller's default country or the number's own code is at fault."""
    sentences = {}
    for raw, region in (("718-555-0126", None), ("718-555-0126", "UK"), ("+999 1234567", "US")):
        with pytest.raises(InvalidNumber) as refusal:
            normalize(raw, region)
        sentences[raw, region] = str(refusal.value)

    assert "default country" in sentences["718-555-0126", None]
    assert "UK" in sentences["718-555-0126", "UK"]
    assert "calling code" in sentences["+999 1234567", "US"]


def test_regions_are_those_that_can_be_a_default():
    """US and GB are, UK (which people write) and 001 (which the library uses inside) are not."""
    assert {"US", "GB", "TA"} <= regions()
    assert not {"UK", "001"} & regions()


# -- The short cut --------------------------------------------------------------------------------------------------


@st.composite
def e164_like(draw):
    """What the library's own patterns describe, its examples with some digits changed, and any digits at all."""
    origin = draw(st.sampled_from(["pattern", "example", "any"]))
    if origin == "pattern":
        code, pattern = draw(st.sampled_from(SHAPES))
        return f"+{code}" + draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True))
    if origin == "example":
        digits = list(draw(st.sampled_from(EXAMPLES))[1:])
        for _ in range(draw(st.integers(0, 4))):
            digits[draw(st.integers(0, len(digits) - 1))] = draw(st.sampled_from("0123456789"))
        return "+" + "".join(digits)
    return f"+{draw(st.sampled_from(CALLING_CODES) | st.integers(0, 999))}" + draw(
        st.text("0123456789", min_size=3, max_size=16)
    )


@given(e164_like())
@settings(max_examples=1500, deadline=None)
def test_e164_is_decided_as_the_library_decides(raw):
    """With the short cut and without it: the same verdict, the same number."""
    assert ours(raw) == library(raw)


@given(
    st.sampled_from(NORTH_AMERICA),
    st.from_regex(r"(\+?1[ .-]?)?\(?[2-9][0-9]{2}\)?[ .-]{0,2}[0-9]{3}[ .\u00a0\u2011-]?[0-9]{4,5} ?", fullmatch=True)
    | st.from_regex(r"[0-9 ().+-]{8,16}", fullmatch=True),
)
@settings(max_examples=800, deadline=None)
def test_north_american_spelling_is_decided_as_the_library_decides(region, raw):
    """Ten digits, or eleven with the 1, however they are grouped."""
    abroad = raw.lstrip(" ().-")
    expected = library(raw, region)
    if abroad.startswith("00"):
        expected = library("+" + abroad[2:], region) or expected

    assert ours(raw, region) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "+3758105934593",  # Belarus: a premium rate number, if `parse` did not strip the 810 that starts it
        "+49493031072391",  # Germany: a fixed line by its own pattern, but not by the general one
        "+12685550126",  # Antigua's leading digits: the patterns of the United States do not count
        "+39069812345",  # Italy, not the Vatican that shares its code
        "+5491123456789",  # Argentina: a national prefix that may be empty
        "+78001234567",  # Russia: begins with its national prefix, which is part of it here
    ],
)
def test_traps_of_the_numbering_plans(raw):
    """Numbers that a simpler pattern would judge wrongly."""
    assert ours(raw) == library(raw)
    assert not _pattern_accepts(raw) or library(raw) == raw


def test_no_false_accept_in_any_numbering_plan():
    """The library's examples of every kind in every region, and mutations of them: what a pattern takes, is valid."""
    rng = random.Random(718)
    taken, false = 0, []
    for example in EXAMPLES:
        mutations = [example]
        for _ in range(12):
            digits = list(example)
            for _ in range(rng.choice((1, 1, 2, 4))):
                digits[rng.randrange(2, len(digits))] = rng.choice("0123456789")
            mutations.append("".join(digits)[: rng.choice((None, None, None, -1))] + rng.choice(("", "", "", "0")))
        for number in mutations:
            if _pattern_accepts(number):
                taken += 1
                if library(number) != number:
                    false.append(number)

    assert false == []
    assert taken > 4_000  # it was not silence that kept the patterns from being wrong


def test_most_kinds_of_number_need_no_library():
    """Nearly every example is taken by its pattern; what may begin with a national prefix is left to the library."""
    left = [number for number in EXAMPLES if not _pattern_accepts(number)]

    assert len(left) < len(EXAMPLES) * 0.03


def test_the_short_cut_is_worth_its_lines():
    """At least five times the library's speed (it is more than twenty); a ratio, so that a busy machine may run it."""
    batch = ["+17185550126", "+447400123456", "+4915123456789", "+393123456789", "+918123456789"] * 20
    cut = min(timeit.repeat(lambda: [normalize(raw) for raw in batch], number=5, repeat=3))
    full = min(timeit.repeat(lambda: [library(raw) for raw in batch], number=5, repeat=3))

    assert full > 5 * cut


@pytest.mark.parametrize(
    "head", ["+", "+1", "+71", "+000000000", "+００１２３４５６７８", "+1a23456789", "++17185550126"]
)
def test_a_head_that_is_no_calling_code(head):
    """No pattern takes it, whatever stands where a calling code should."""
    assert not _pattern_accepts(head)


# -- Any text -------------------------------------------------------------------------------------------------------

anything = st.text(max_size=40) | st.text("+0123456789 ().-/x;=tel:eE,'\u202a\uff0b#*", max_size=40)


@given(anything, st.none() | st.sampled_from(["US", "GB", "IT", "JP", "AR", "AU", "BR", "zz"]))
@settings(max_examples=600, deadline=None)
def test_any_text_is_a_number_or_is_refused(raw, region):
    """Nothing else is raised; a number is E.164 and stays as it is; no refusal repeats what it was given."""
    try:
        number = normalize(raw, region)
    except InvalidNumber as refusal:
        assert not any(raw[i : i + 4] in str(refusal) for i in range(len(raw) - 3) if raw[i : i + 4].isdigit())
        return

    assert number[0] == "+" and number[1:].isascii() and number[1:].isdigit() and len(number) <= MAX_DIGITS + 1
    assert normalize(number) == number


def test_hostile_length_costs_nothing():
    """A cell of ten thousand signs is refused at once: no pattern of ours goes back over it."""
    texts = ["(" * 10_000, "0" * 10_000, "+" * 10_000, "1." * 5_000, " tel:" * 2_000, "e1" * 5_000]

    assert timeit.timeit(lambda: [is_valid(text, "US") for text in texts], number=1) < 0.5


def test_import_is_light():
    """`import` alone does not load the library; reading a number does not load its geocoder, carriers or time zones."""
    script = (
        "import sys, paceline.sms.numbers as numbers\n"
        "assert 'phonenumbers' not in sys.modules\n"
        "numbers.normalize('+1 718 555 0126')\n"
        "heavy = ('geocoder', 'carrier', 'timezone', 'geodata', 'carrierdata', 'tzdata')\n"
        "sys.exit(any('phonenumbers.' + name in sys.modules for name in heavy))\n"
    )

    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0
