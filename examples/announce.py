"""Texts everybody in a spreadsheet, each person always from the same of our numbers, one a second from each.

    export PACELINE_PROVIDER=vonage://KEY:SECRET@
    python announce.py people.csv "Lunch is served" +12025550100 +12025550101

Run again after Ctrl-C, a crash or kill -9 it goes on where it stopped; nobody gets the text twice.
"""

import sys
from pathlib import Path

from paceline.batch import BatchSMS, Payload, Unfinished
from paceline.messaging.sheets import open_sheet

file, text, *from_numbers = sys.argv[1:]
client = BatchSMS("announce.db")
for number in from_numbers:
    client.add_from_number(number)

audience = client.create_subscription_list(Path(file).stem)
rows = list(open_sheet(Path(file), region="US"))
client.add_to_numbers(({**row.fields, "number": row.number} for row in rows if row.verdict == "ready"), [audience])
for row in rows:
    if row.verdict == "invalid":
        print(f"line {row.line} is left out: {row.sentence}")


def failed(payload: Payload) -> None:
    print("not sent:", payload)


try:
    summary = client.send_to_subscription(audience, text, on_fail=failed)
except Unfinished as earlier:
    print(earlier)
    summary = client.resume(earlier.campaign_id, on_fail=failed)
print(summary)
