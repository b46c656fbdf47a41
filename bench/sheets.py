"""How fast is a CSV of people read and judged, row by row?"""

from __future__ import annotations

import csv

import phonenumbers
from bench.harness import Row, here, medians, rounds, scratch
from bench.phones import people

from paceline.messaging import sheets


def rows(quick: bool) -> list[Row]:
    count = 20_000 if quick else 200_000
    with scratch() as folder:
        path = folder / "people.csv"
        path.write_text("name,phone\n" + "".join(f"Ada,{number}\n" for number in people(count)))

        def ours() -> int:
            return sum(1 for _ in sheets.open_sheet(path, region="US"))

        def dict_reader() -> int:
            with path.open() as file:
                for done, line in enumerate(csv.DictReader(file), start=1):
                    phonenumbers.is_valid_number(phonenumbers.parse(line["phone"], "US"))
                    if done == count // 20:
                        break
            return count // 20

        return medians({"paceline": here(ours), "DictReader and phonenumbers": here(dict_reader)}, rounds(quick))
