"""How fast does a sheet of a million numbers become contacts on a list?

    ./run bench import [--quick] [--json]

From the file to the committed rows, each number judged: 95 in 100 are E.164 already, the others as people type them; or
all as people type them. Beside it what people write: `csv`, `phonenumbers`, and `bulk_create` or `get_or_create`.

A million different numbers cannot come from the range for fiction. These are made up, and nothing is sent.
"""

from __future__ import annotations

import csv
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench import harness
from bench.harness import Row, Sample

ROWS, QUICK_ROWS = 1_000_000, 20_000
FEW, QUICK_FEW = 20_000, 500
"""Rows that are enough to see the rate of the slow ones."""
MIXED, NATIONAL = 0.95, 0.0
SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda digits: f"({digits[:3]}) {digits[3:6]}-{digits[6:]}",
    lambda digits: f"{digits[:3]}-{digits[3:6]}-{digits[6:]}",
    lambda digits: digits,
    lambda digits: f"001 {digits[:3]} {digits[3:6]} {digits[6:]}",
    lambda digits: f"{digits[:3]}\u2011{digits[3:6]}\u2011{digits[6:]}",
)


def rows(quick: bool) -> list[Row]:
    """Rows of the sheet per second; the comparison runs on fewer of them."""
    many, few = (QUICK_ROWS, QUICK_FEW) if quick else (ROWS, FEW)
    with harness.scratch() as folder:
        mixed, national, short = folder / "mixed.csv", folder / "national.csv", folder / "short.csv"
        write(mixed, many, MIXED)
        write(national, many, NATIONAL)
        write(short, few, MIXED)
        variants: dict[str, Callable[[], Sample]] = {}
        for database, server in harness.databases(quick).items():
            for name, verb, sheet in (
                ("paceline, 95 % E.164", "ours", mixed),
                ("paceline, all national", "ours", national),
                ("csv, phonenumbers, bulk_create", "at_once", short),
                ("csv, phonenumbers, get_or_create", "one_by_one", short),
            ):
                variants[f"{name}, {database}"] = partial(run, verb, sheet, server)
        return harness.medians(variants, harness.rounds(quick))


def run(verb: str, sheet: Path, server: str | None) -> Sample:
    """One import into empty tables, in a process of its own."""
    with harness.installed(server) as environment:
        return harness.child("imports", verb, sheet, env=environment)


def write(path: Path, count: int, share: float) -> None:
    """A sheet of so many different people, that share of them with E.164 numbers, in no order."""
    rng = random.Random(7)  # noqa: S311 the same sheet in every run
    with path.open("w", encoding="utf-8") as file:
        file.write("Full name,Mobile,Team\n")
        for n, digits in enumerate(numbers(count)):
            number = f"+1{digits}" if rng.random() < share else rng.choice(SPELLINGS)(digits)
            file.write(f"Ada Lovelace {n},{number},{'ABCD'[n % 4]}\n")


def numbers(count: int) -> Iterator[str]:
    """North American numbers in ten digits, far apart from each other."""
    from paceline.sms.numbers import is_valid

    areas = [area for area in range(201, 990) if is_valid(f"+1{area}5550100")]
    at, found = 0, 0
    while found < count:
        at = (at + 982_451_653) % (len(areas) * 7_000_000)
        area, rest = divmod(at, 7_000_000)
        if rest // 10_000 % 100 != 11:  # no exchange ends in 11
            found += 1
            yield f"{areas[area]}{200 + rest // 10_000}{rest % 10_000:04}"


# --- variants, each in a process of its own ---------------------------------------------------------------------


def ours(sheet: Path) -> int:
    from paceline.messaging import contacts, sheets

    return contacts.add(sheets.open_sheet(sheet, region="US"), contacts.get_list("Guests")).rows


def at_once(sheet: Path) -> int:
    """Everybody in one list of objects, then `bulk_create`."""
    from paceline.messaging.models import Contact, ContactList, Membership

    people = [Contact(number=number, fields=fields) for number, fields in judged(sheet)]
    Contact.objects.bulk_create(people, batch_size=1000)
    guests = ContactList.objects.create(name="Guests")
    Membership.objects.bulk_create([Membership(list=guests, contact=person) for person in people], batch_size=1000)
    return len(people)


def one_by_one(sheet: Path) -> int:
    """`get_or_create` for every row."""
    from paceline.messaging.models import Contact, ContactList, Membership

    guests, done = ContactList.objects.create(name="Guests"), 0
    for number, fields in judged(sheet):
        person, _ = Contact.objects.get_or_create(number=number, defaults={"fields": fields})
        Membership.objects.get_or_create(list=guests, contact=person)
        done += 1
    return done


def judged(sheet: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """DictReader and phonenumbers."""
    import phonenumbers

    seen = set()
    with sheet.open(encoding="utf-8", newline="") as file:
        for cells in csv.DictReader(file):
            try:
                parsed = phonenumbers.parse(cells.pop("Mobile"), "US")
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(parsed):
                number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
                if number not in seen:
                    seen.add(number)
                    yield number, cells


def main(verb: str, sheet: str) -> None:
    import django

    django.setup()
    began, cpu = time.perf_counter(), time.process_time()
    done = {"ours": ours, "at_once": at_once, "one_by_one": one_by_one}[verb](Path(sheet))
    harness.report(Sample(done, time.perf_counter() - began, time.process_time() - cpu, harness.peak_mb()))


if __name__ == "__main__":
    main(*sys.argv[1:])
