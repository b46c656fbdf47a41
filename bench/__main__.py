"""How fast is it, beside what people would write instead? Both in one run, so that the ratio means something.

./run bench [numbers|segments|sheets|send] [--quick] [--json]
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import phonenumbers

from paceline.messaging import sheets
from paceline.sms import numbers, segments

ROUNDS = 5
AREAS = (206, 212, 303, 312, 404, 415, 512, 617, 718, 907)
TEXT = "Your table is ready. Reply STOP to opt out. We look forward to seeing you!"
GSM7 = set(segments.GSM_BASIC)


@dataclass(frozen=True, slots=True)
class Row:
    """A variant's median over the rounds: items per second and microseconds of CPU per item."""

    variant: str
    per_second: float
    cpu_us: float


def measure(variants: dict[str, Callable[[], int]], rounds: int) -> list[Row]:
    """Runs the variants in turn, round after round; each answers how many items it did."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, work in variants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            items = work()
            seen[name].append((items / (time.perf_counter() - wall), (time.process_time() - cpu) / items * 1e6))
    return [
        Row(name, round(statistics.median(r for r, _ in runs)), round(statistics.median(c for _, c in runs), 3))
        for name, runs in seen.items()
    ]


def people(count: int) -> Iterator[str]:
    """E.164 numbers of the fictional range, again and again."""
    for n in range(count):
        yield f"+1{AREAS[n % len(AREAS)]}555{100 + n // len(AREAS) % 100:04d}"


def bench_numbers(quick: bool) -> dict[str, Callable[[], int]]:
    """What is already E.164, validated and normalised."""
    many = list(people(20_000 if quick else 200_000))
    few = many[: len(many) // 20]

    def library() -> int:
        for number in few:
            parsed = phonenumbers.parse(number, "US")
            phonenumbers.is_valid_number(parsed)
            phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        return len(few)

    return {"paceline": lambda: len([numbers.normalize(n, "US") for n in many]), "phonenumbers": library}


def bench_segments(quick: bool) -> dict[str, Callable[[], int]]:
    """How many segments a plain text of 74 characters is."""
    times = 20_000 if quick else 200_000

    def loop() -> int:
        for _ in range(times):
            plain = all(character in GSM7 for character in TEXT)
            _ = -(-len(TEXT) // (153 if plain else 67))
        return times

    return {
        "paceline count": lambda: sum(1 for _ in range(times) if segments.count(TEXT)),
        "paceline segments": lambda: sum(1 for _ in range(times) if segments.segments(TEXT).count),
        "a loop over a set": loop,
    }


def bench_sheets(quick: bool) -> dict[str, Callable[[], int]]:
    """A CSV of people, read and judged row by row."""
    rows = 20_000 if quick else 200_000
    path = Path(tempfile.mkdtemp()) / "people.csv"
    path.write_text("name,phone\n" + "".join(f"Ada,{number}\n" for number in people(rows)))

    def dict_reader() -> int:
        with path.open() as file:
            for done, row in enumerate(csv.DictReader(file), start=1):
                phonenumbers.is_valid_number(phonenumbers.parse(row["phone"], "US"))
                if done == rows // 20:
                    return done
        return rows

    return {
        "paceline": lambda: sum(1 for _ in sheets.open_sheet(path, region="US")),
        "DictReader and phonenumbers": dict_reader,
    }


BENCHES = {"numbers": bench_numbers, "segments": bench_segments, "sheets": bench_sheets}


def main(arguments: list[str]) -> int:
    quick, as_json = "--quick" in arguments, "--json" in arguments
    names = [word for word in arguments if not word.startswith("-")] or [*BENCHES, "send"]
    unknown = [name for name in names if name not in (*BENCHES, "send")]
    if unknown:
        sys.stderr.write(f"There is no bench {unknown[0]!r}; there are: {', '.join(BENCHES)}, send\n")
        return 2
    for name in names:
        if name == "send":  # rates of whole runs, so it measures in its own way
            import send

            if code := send.main(quick, as_json):
                return code
            continue
        rows = measure(BENCHES[name](quick), 3 if quick else ROUNDS)
        if as_json:
            print(json.dumps({"bench": name, "rows": [asdict(row) for row in rows]}))
            continue
        print(f"{name}: {(BENCHES[name].__doc__ or '').strip()}")
        for row in rows:
            ratio = row.per_second / rows[-1].per_second
            print(f"  {row.variant:<28} {row.per_second:>12,.0f}/s {row.cpu_us:>9.2f} µs CPU   {ratio:>6.1f} ×")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
