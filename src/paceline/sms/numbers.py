"""What number did they mean? Text as people type it becomes E.164 with the plus, or a reason why not.

The verdict is libphonenumber's `is_valid_number` on the raw text, with a leading `00` read as the international
prefix. Two readings never reach the library:

- a spreadsheet's scientific notation is refused, because its digits are rounded and may be somebody else's number;
- what is E.164 but for spaces, dots, hyphens and parentheses (and the ten or eleven digits of a North American
  number, when that is the default region) is first tried against one pattern per calling code. The pattern is
  compiled from the library's own metadata and only ever says yes; whatever it does not accept, the library decides.

An extension is dropped, as the library's own E.164 format does: texts go to the main number.
`phonenumbers` is imported on first use (50 ms), its geocoder, carrier and time zone tables never.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from .errors import InvalidNumber

if TYPE_CHECKING:
    from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumber
    from phonenumbers.phonemetadata import PhoneNumberDesc

MAX_DIGITS = 15
"""ITU-T E.164, 6.1: calling code and national number together. The library accepts up to 17 in a few countries."""

_SCIENTIFIC = re.compile(r"\W*\d+(?:[.,]\d+)?[eE][+-]?\d{1,3}\W*")
_LEADING_00 = re.compile(r"[^\d+＋]*[0０]{2}")
_TEL = re.compile(r"\W*tel:", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")

_SEPARATORS = dict.fromkeys(map(ord, " ().-\u00a0\u2011"))
"""Characters that the library skips wherever they stand; the last two are the non-breaking space and hyphen."""

_LONGEST_SPELLING = 40
"""Longer texts are not tried against the patterns: the library refuses those over 250 characters."""


def normalize(raw: str, region: str | None = None) -> str:
    """The E.164 number that `raw` spells, read in `region` (ISO 3166 alpha-2) unless it says its country itself.

    Raises `InvalidNumber`. Its `reason` is one of empty, letters, too_short, too_long, spreadsheet,
    unknown_country, not_valid; its sentence tells a person what to do and never holds the number.
    """
    if raw[:1] == "+" and _pattern_accepts(raw):
        return raw
    return _at_a_glance(raw, region) or _read(raw, region)


def is_valid(raw: str, region: str | None = None) -> bool:
    """True when `normalize` finds a number in `raw`."""
    try:
        normalize(raw, region)
    except InvalidNumber:
        return False
    return True


def may_be_national(digits: str, region: str | None) -> bool:
    """False when bare `digits` are certainly no number as dialled within `region`: their count says so.

    Spares a caller who tries several readings the slow one. True says nothing.
    """
    if region is None:
        return False
    lengths = _national_lengths(region.upper())
    return not lengths or digits[:1] in ("", "0") or len(digits) in lengths


@cache
def _national_lengths(region: str) -> frozenset[int]:
    """How many digits a number has within a region, with and without its trunk prefix; none when that is not simple."""
    from phonenumbers import PhoneMetadata

    metadata = PhoneMetadata.metadata_for_region(region, None)
    if metadata is None or metadata.general_desc is None:
        return frozenset()
    if metadata.national_prefix_for_parsing != metadata.national_prefix:
        return frozenset()
    possible = set(metadata.general_desc.possible_length)
    trunk = len(metadata.national_prefix or "")
    return frozenset(possible | {length + trunk for length in possible})


@cache
def regions() -> frozenset[str]:
    """Every default region that `normalize` knows, as ISO 3166 alpha-2 codes."""
    import phonenumbers

    return frozenset(phonenumbers.SUPPORTED_REGIONS)


# -- The library's reading -----------------------------------------------------------------------------------------


def _read(raw: str, region: str | None) -> str:
    """The library's verdict on `raw`; raises `InvalidNumber`."""
    if not any(map(str.isalnum, raw)):
        raise InvalidNumber("empty", "There is no number here.")
    if _SCIENTIFIC.fullmatch(raw):
        raise InvalidNumber(
            "spreadsheet",
            "A spreadsheet has rounded this number to scientific notation and lost its last digits: "
            "format the column as text in the original file and export it again.",
        )
    region = region.upper() if region else None
    abroad = _LEADING_00.match(raw)
    if abroad is None:
        return _ask_library(raw, region)
    try:
        return _ask_library("+" + raw[abroad.end() :], region)
    except InvalidNumber:
        # Some regions dial abroad with more than 00, as Australia does with 0011.
        try:
            return _ask_library(raw, region)
        except InvalidNumber:
            pass
        raise


def _ask_library(text: str, region: str | None) -> str:
    import phonenumbers

    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise _unreadable(text, region, error) from error
    if not phonenumbers.is_valid_number(parsed):
        raise _not_valid(text, parsed)
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if len(number) > MAX_DIGITS + 1:
        raise InvalidNumber("too_long", f"No telephone number has more than {MAX_DIGITS} digits: check the last ones.")
    return number


def _unreadable(text: str, region: str | None, error: NumberParseException) -> InvalidNumber:
    """Why the library cannot even read a number in `text`."""
    if _has_letters(text):
        return _letters()
    if error.error_type == error.INVALID_COUNTRY_CODE:
        if "+" in text or "＋" in text:
            return InvalidNumber("unknown_country", "No country has this calling code: check the digits after the +.")
        if region is None:
            return InvalidNumber(
                "unknown_country",
                "This does not say its country: write it with + and the calling code, or choose a default country.",
            )
        return InvalidNumber(
            "unknown_country", f"{region} is not the code of a country: use two letters such as US or GB."
        )
    if error.error_type == error.TOO_LONG:
        return InvalidNumber("too_long", "This has too many digits for a telephone number.")
    if sum(map(str.isdigit, text)) < MAX_DIGITS:
        return InvalidNumber("too_short", "This has too few digits for a telephone number.")
    return InvalidNumber("not_valid", "This cannot be read as one telephone number.")


def _not_valid(text: str, parsed: PhoneNumber) -> InvalidNumber:
    """Why a number that the library can read is none."""
    import phonenumbers
    from phonenumbers import ValidationResult

    if _has_letters(text):
        return _letters()
    code = parsed.country_code or 0
    country = f"+{code}"
    home = phonenumbers.region_code_for_country_code(code)
    if home not in ("001", "ZZ"):
        country = f"{home} ({country})"
    match phonenumbers.is_possible_number_with_reason(parsed):
        case ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            return InvalidNumber("too_short", f"The area code is missing for a number in {country}.")
        case ValidationResult.TOO_SHORT:
            return InvalidNumber("too_short", f"This has too few digits for a number in {country}.")
        case ValidationResult.TOO_LONG:
            return InvalidNumber("too_long", f"This has too many digits for a number in {country}.")
        case _:
            return InvalidNumber("not_valid", f"No number in {country} looks like this: check the digits.")


def _has_letters(text: str) -> bool:
    prefix = _TEL.match(text)
    return _LETTER.search(text, prefix.end() if prefix else 0) is not None


def _letters() -> InvalidNumber:
    return InvalidNumber("letters", "There are letters where a number should be: write it in digits only.")


# -- The patterns ---------------------------------------------------------------------------------------------------

_accepts: dict[str, Callable[[str], object]] = {}
"""From the plus and the three digits after it to the match method of the calling code's pattern."""

_NORTH_AMERICAN = re.compile(r"1?([2-9][0-9]{9})")


def _at_a_glance(raw: str, region: str | None) -> str | None:
    """The number, if it needs no library to see it. None says nothing about `raw`."""
    if len(raw) > _LONGEST_SPELLING:
        return None
    text = raw.translate(_SEPARATORS)
    if text[:1] != "+":
        spelled = _NORTH_AMERICAN.fullmatch(text)
        if spelled is None or region is None or region.upper() not in _north_american_regions():
            return None
        text = "+1" + spelled[1]
    return text if _pattern_accepts(text) else None


def _pattern_accepts(number: str) -> bool:
    """True when the pattern of its calling code takes `number`. False says nothing."""
    head = number[:4]
    accepts = _accepts.get(head)
    if accepts is None:
        if not (head.isascii() and head[1:].isdigit()):
            return False
        accepts = _accepts[head] = _compiled(_calling_code(head[1:])).fullmatch
    return accepts(number) is not None


@cache
def _north_american_regions() -> frozenset[str]:
    import phonenumbers

    return frozenset(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1])


def _calling_code(digits: str) -> int:
    """The calling code that `digits` begin with, or 0. No calling code is the beginning of another."""
    import phonenumbers

    codes = (int(digits[:length]) for length in (1, 2, 3))
    return next((code for code in codes if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), 0)


@cache  # at most one for each calling code there is, and one for "none"
def _compiled(code: int) -> re.Pattern[str]:
    """A pattern of E.164 numbers: whatever it takes, `is_valid_number` takes, and normalises to itself.

    It follows the library step by step. `parse` strips a national prefix even after a calling code, so what could
    begin with one is left to the library. `region_code_for_number` goes through the regions that share the code: the
    first whose leading digits fit, or else whose patterns fit, is the number's, and only that region's patterns count.
    """
    import phonenumbers

    if code == 0:
        return re.compile(r"(?!)")
    shared_by = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
    plans = [
        plan
        for region in shared_by
        if (plan := phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region))
    ]

    start = rf"\+{code}"
    guards = rf"(?=\+[0-9]{{8,{MAX_DIGITS}}}\Z){start}"
    if prefix := plans[0].national_prefix_for_parsing:
        # Argentina's prefix may be empty and then strips nothing: the look-behind asks for a digit of it.
        guards += rf"(?!(?:{prefix})(?<!{start}))"
    return re.compile(rf"{guards}(?:{'|'.join(_choices(plans))})", re.ASCII)


def _choices(plans: Iterable[PhoneMetadata]) -> Iterator[str]:
    """One alternative for each region that shares a calling code, in the library's order."""
    not_earlier = ""
    for plan in plans:
        if plan.leading_digits is None:
            yield not_earlier + _plan_pattern(plan)
        else:
            yield f"{not_earlier}(?={plan.leading_digits}){_plan_pattern(plan)}"
            not_earlier += f"(?!{plan.leading_digits})"


def _plan_pattern(plan: PhoneMetadata) -> str:
    """What one region's numbering plan takes: the general description, and that of any kind of number."""
    kinds = [
        plan.fixed_line,
        None if plan.same_mobile_and_fixed_line_pattern else plan.mobile,
        plan.toll_free,
        plan.premium_rate,
        plan.shared_cost,
        plan.voip,
        plan.personal_number,
        plan.pager,
        plan.uan,
        plan.voicemail,
    ]
    return f"(?={_desc_pattern(plan.general_desc)})(?:{'|'.join(map(_desc_pattern, kinds))})"


def _desc_pattern(desc: PhoneNumberDesc | None) -> str:
    """One description's pattern and its possible lengths, up to the end of the number."""
    if desc is None or not desc.national_number_pattern:
        return "(?!)"
    lengths = "|".join(f"[0-9]{{{length}}}" for length in desc.possible_length if length > 0)
    if not lengths and desc.possible_length:
        return "(?!)"  # the library's [-1]: no number is of this kind
    long_enough = rf"(?=(?:{lengths})\Z)" if lengths else ""
    return rf"{long_enough}(?:{desc.national_number_pattern})\Z"
