"""The whole path, by the doors that people use: a sheet, a campaign, the wire, reports, replies, the API."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from paceline.sandbox.behaviour import Behaviour

from .installation import Installation, until

STOPS = ("+14155550121", "+17185550126")


@pytest.mark.slow
def test_a_spreadsheet_becomes_delivered_texts_and_stop_is_kept(tmp_path: Path, root: Path) -> None:
    """Import → campaign → carrier → reports; who replied STOP is passed by from then on."""
    place = Installation(tmp_path, Behaviour(report_delay=0.1, stop_numbers=STOPS, reply_delay=0.1))
    sheet = str(root / "examples" / "attendees.csv")
    for n in range(5):
        place.cli("sender", "add", f"+1202555010{n}", "--mps", "40")
    imported = place.cli("contacts", "import", sheet, "--list", "attendees")
    text = "Hi {{ full_name }}, doors open at 9"
    first = place.cli("campaign", "create", "opening", "--text", text, "--list", "attendees", "--launch")["id"]

    with place.carrier, place.up():
        account = place.wait_for(first)
        place.carrier.settle()
        until(lambda: place.cli("campaign", "show", str(first))["counts"].get("delivered") == 724, 20)
        until(lambda: len(place.cli("optout", "list")) == len(STOPS), 10)
        heard_from = {accept.number: accept.sender for accept in place.carrier.accepts()}
        second = place.cli("campaign", "create", "closing", "--text", "Bye", "--list", "attendees", "--launch")["id"]
        place.wait_for(second)
        accepts = place.carrier.accepts()

    again = [accept for accept in accepts if accept.text == "Bye"]
    assert (imported["ready"], imported["duplicate"], imported["invalid"]) == (724, 38, 38)
    assert (account["total"], account["waiting"], account["submitted"]) == (724, 0, 724)
    assert Counter(accept.number for accept in accepts if accept.text != "Bye") == Counter(dict.fromkeys(heard_from, 1))
    assert all(heard_from[accept.number] == accept.sender for accept in again)
    assert {accept.number for accept in again} == set(heard_from) - set(STOPS)
    assert place.cli("campaign", "show", str(second))["counts"]["suppressed"] == len(STOPS)


@pytest.mark.slow
def test_the_tutorials_body_is_sent_in_tranches(tmp_path: Path) -> None:
    """batch_size 3, delay_period 2: no tranche begins before the 2 s are over; it prints how long they were."""
    place = Installation(tmp_path)
    place.cli("sender", "add", "+12025550100", "--mps", "10")
    key = place.cli("key", "create", "tutorial")["key"]
    body = {
        "sender": "+12025550100",
        "recipients": [f"+1206555010{n}" for n in range(8)],
        "message_string": "Hello, World!",
        "batch_size": 3,
        "delay_period": 2,
    }
    with place.carrier, place.up():
        status, answer = place.post("/message/", body, key)
        place.wait_for(answer["id"], seconds=30)
    moments = [line["at"] for line in place.wire()]
    tranches = [moments[0:3], moments[3:6], moments[6:8]]

    assert status == 202
    assert len(moments) == 8
    for before, after in pairwise(tranches):
        assert after[0] - before[-1] >= 1.8
        print(f"a tranche began {after[0] - before[-1]:.2f} s after the last submit of the one before")


@pytest.mark.slow
def test_pause_resume_and_cancel_are_exact(tmp_path: Path) -> None:
    """Nothing begins 250 ms after a pause; resume goes on where it stood; after cancel everybody is accounted for."""
    place = Installation(tmp_path)
    sheet = tmp_path / "people.csv"
    sheet.write_text(
        "phone\n" + "".join(f"+1206555{n:04d}\n+1415555{n:04d}\n+1212555{n:04d}\n" for n in range(100, 200))
    )
    place.cli("sender", "add", "+12025550100", "--mps", "20")
    place.cli("contacts", "import", str(sheet), "--list", "people")
    campaign = str(place.cli("campaign", "create", "steered", "--text", "Hi", "--list", "people", "--launch")["id"])

    with place.carrier, place.up():
        until(lambda: len(place.wire()) > 20, 20)
        place.cli("campaign", "pause", campaign)
        paused_at = time.time()
        time.sleep(1.0)
        at_pause = len(place.wire())
        late = [line for line in place.wire() if line["at"] > paused_at + 0.25]
        place.cli("campaign", "resume", campaign)
        place.cli("sender", "limit", "+12025550100", "40")
        until(lambda: len(place.wire()) > at_pause + 40, 20)
        account = place.cli("campaign", "cancel", campaign)
        cancelled_at = time.time()
        time.sleep(1.0)
        account = place.cli("campaign", "show", campaign)
        after_cancel = [line for line in place.wire() if line["at"] > cancelled_at + 0.25]
        accepts = place.carrier.accepts()

    assert late == []
    assert after_cancel == []
    assert max(Counter(accept.number for accept in accepts).values()) == 1
    assert account["total"] == 300
    assert account["counts"]["cancelled"] == 300 - len(accepts)
    assert account["waiting"] == 0


def test_a_text_from_the_command_line_needs_no_running_server(tmp_path: Path) -> None:
    """`paceline send` submits its one text by itself and leaves campaigns alone; with a server it lets that send."""
    place = Installation(tmp_path)
    place.cli("sender", "add", "+12025550100", "--mps", "10")
    with place.carrier:
        sent = place.cli("send", "(206) 555-0123", "Your table is ready")
        with place.up():
            through = place.cli("send", "+12065550124", "Your table is ready")

    assert (sent["status"], sent["to"]) == ("accepted", "+12065550123")
    assert through["status"] in ("accepted", "sent", "delivered")
    assert [accept.number for accept in place.carrier.accepts()] == ["+12065550123", "+12065550124"]
