"""A script that texts everybody, to be killed. `without-journal` notes a submit only with its outcome, as peers do."""

import sys

import paceline
from paceline.sms import runs

url, run_file, *flags = sys.argv[1:]

if "without-journal" in flags:
    noted = {}

    def note_later(self, intents):
        noted.update((row, (row, number, reference)) for row, number, reference in intents)

    submitting, settled = runs.RunFile.submitting, runs.RunFile.settled

    def both_at_once(self, lines):
        submitting(self, [noted[line["row"]] for line in lines])
        settled(self, lines)

    runs.RunFile.submitting, runs.RunFile.settled = note_later, both_at_once


def people():
    for n in range(400):
        yield {"name": f"Ada {n}", "number": f"+1{(212, 310, 415, 617)[n % 4]}5550{100 + n // 4}"}


with paceline.Client(url, frm="+12025550100", connections=16) as client:
    results = client.send_many(people(), "Hi {{ name }}", run_file=run_file)
for result in results:
    print(result.status.value, result.number)
