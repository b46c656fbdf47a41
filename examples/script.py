"""Texts everybody in a CSV, ten a second, without a database; run again after any end, it goes on where it stopped.

    pip install paceline
    export PACELINE_PROVIDER=vonage://KEY:SECRET@ PACELINE_FROM=+12025550100
    python script.py people.csv 'Hi {{ name|default("there") }}, doors open at 9.'

The CSV has a header row with a column "number"; its other columns are fields of the text.
"""

import csv
import sys
from collections import Counter
from pathlib import Path

import paceline

file, text = Path(sys.argv[1]), sys.argv[2]


def show(progress: paceline.Progress) -> None:
    print(f"\r{progress.done} of {progress.total}", end="", file=sys.stderr)


with file.open(newline="", encoding="utf-8-sig") as lines, paceline.Client(region="US") as client:
    people = list(csv.DictReader(lines))
    results = client.send_many(people, text, rate=10, run_file=file.with_suffix(".run"), progress=show)

print("\n", dict(Counter(str(result.status) for result in results)))
for result in results:
    if not result.accepted:
        print(f"row {result.row + 1}: {result.status}: {result.error or ''}")
sys.exit(0 if all(result.accepted or result.status == paceline.Outcome.DUPLICATE for result in results) else 1)
