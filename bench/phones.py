"""What does it cost to validate and normalise a number that is E.164 already?"""

from __future__ import annotations

from collections.abc import Iterator

import phonenumbers
from bench.harness import Row, here, medians, rounds

from paceline.sms import numbers

AREAS = (206, 212, 303, 312, 404, 415, 512, 617, 718, 907)


def people(count: int) -> Iterator[str]:
    """E.164 numbers of the fictional range, again and again."""
    for n in range(count):
        yield f"+1{AREAS[n % len(AREAS)]}555{100 + n // len(AREAS) % 100:04d}"


def rows(quick: bool) -> list[Row]:
    many = list(people(20_000 if quick else 200_000))
    few = many[: len(many) // 20]

    def ours() -> int:
        return len([numbers.normalize(number, "US") for number in many])

    def library() -> int:
        for number in few:
            parsed = phonenumbers.parse(number, "US")
            phonenumbers.is_valid_number(parsed)
            phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        return len(few)

    return medians({"paceline": here(ours), "phonenumbers": here(library)}, rounds(quick))
