"""A run that is killed and started again: nobody twice, nobody lost. Real kills, judged by the carrier's log."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import paceline
from paceline import AsyncClient, Client, Outcome
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sms import transports

from .test_client import FRM, carrier, nobody_there, outbox, quick_back_off, url_of
from .test_send_many import people, statuses

__all__ = ["carrier", "outbox", "quick_back_off"]

CRASHER = Path(__file__).with_name("bulk_crasher.py")
UNDER_WAY = 16  # connections of the crasher


def start(carrier: Running, run_file: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(CRASHER), url_of(carrier), str(run_file), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stop_when(carrier: Running, accepted: int, process: subprocess.Popen[str], sign: signal.Signals) -> str:
    """Sends the signal once the carrier has taken so many; what the process said on its standard error."""
    deadline = time.monotonic() + 30
    while carrier.state()["accepted"] < accepted and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(sign)
    return process.communicate(timeout=30)[1]


def finish(process: subprocess.Popen[str]) -> dict[str, str]:
    """The finished run's word for each number."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return {number: status for status, _, number in (line.rpartition(" ") for line in out.splitlines())}


# Kills


def test_killed_run_is_resumed(tmp_path):
    """Killed twice in the middle: 0 twice, 0 lost; what was under way is uncertain, and only that."""
    run_file = tmp_path / "spring.jsonl"
    with Running(Behaviour(latency_min=0.02), ledger=tmp_path / "ledger.jsonl") as carrier:
        for accepted in (90, 210):
            stop_when(carrier, accepted, start(carrier, run_file), signal.SIGKILL)
        words = finish(start(carrier, run_file))

    taken = Counter(accept.number for accept in carrier.accepts())
    counts = Counter(words.values())
    assert max(taken.values()) == 1
    assert len(words) == 400
    assert [number for number, word in words.items() if word == "accepted" and number not in taken] == []
    assert [number for number in words if number not in taken and words[number] != "uncertain"] == []
    assert counts["accepted"] + counts["uncertain"] == 400
    assert counts["uncertain"] <= 2 * 2 * UNDER_WAY


def test_without_the_intents_the_same_kills_send_twice(tmp_path):
    """The rig bites: a run file that is only written after the answer texts people again."""
    run_file = tmp_path / "spring.jsonl"
    with Running(Behaviour(latency_min=0.05), ledger=tmp_path / "ledger.jsonl") as carrier:
        stop_when(carrier, 90, start(carrier, run_file, "without-journal"), signal.SIGKILL)
        finish(start(carrier, run_file, "without-journal"))

    assert carrier.judge().duplicates > 0


def test_interrupted_run_ends_in_order(tmp_path):
    """Ctrl-C: what is under way gets its answer, nothing is uncertain, and the rest is sent by the next start."""
    run_file = tmp_path / "spring.jsonl"
    with Running(Behaviour(latency_min=0.05), ledger=tmp_path / "ledger.jsonl") as carrier:
        said = stop_when(carrier, 90, start(carrier, run_file), signal.SIGINT)
        assert "KeyboardInterrupt" in said
        assert carrier.state()["accepted"] < 400
        words = finish(start(carrier, run_file))

    assert Counter(words.values()) == {"accepted": 400}
    assert carrier.judge().duplicates == 0


def test_cancelled_run_ends_in_order(carrier, tmp_path):
    """The same for a task: CancelledError comes out after the answers are written down."""
    carrier.change(latency_min=0.05)

    async def main():
        async with AsyncClient(url_of(carrier), frm=FRM, connections=8) as client:
            first = asyncio.create_task(client.send_many(people(100), "Hi", run_file=tmp_path / "run.jsonl"))
            while carrier.state()["accepted"] < 20:
                await asyncio.sleep(0.005)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await client.send_many(people(100), "Hi", run_file=tmp_path / "run.jsonl")

    results = asyncio.run(main())

    assert statuses(results) == {Outcome.ACCEPTED: 100}
    assert carrier.judge().duplicates == 0
    assert 20 <= sum(result.earlier for result in results) < 100


# What the second start does


def test_finished_run_sends_nothing_again(carrier, tmp_path):
    """It returns the same results, ids and all, and says that they are from earlier."""
    carrier.change(refused_numbers=(people(3)[1],))
    rows = [*people(10), people(1)[0], "nonsense"]
    with Client(url_of(carrier), frm=FRM) as client:
        first = client.send_many(rows, "Hi", run_file=tmp_path / "run.jsonl")
        again = client.send_many(rows, "Hi", run_file=tmp_path / "run.jsonl")

    assert len(carrier.accepts()) == 9
    assert [r.status for r in again] == [r.status for r in first]
    assert [(r.provider_id, r.reference) for r in again] == [(r.provider_id, r.reference) for r in first]
    assert isinstance(again[1].error, paceline.Refused)
    assert again[1].error.code == first[1].error.code
    assert [r.earlier for r in again] == [True] * 10 + [False] * 2


def test_uncertain_row_stays_uncertain(carrier, tmp_path):
    """Never by itself a second time."""
    carrier.change(accept_reset=1.0)
    with Client(url_of(carrier), frm=FRM) as client:
        client.send_many(people(2), "Hi", run_file=tmp_path / "run.jsonl")
        carrier.change(accept_reset=0.0)
        again = client.send_many(people(2), "Hi", run_file=tmp_path / "run.jsonl")

    assert statuses(again) == {Outcome.UNCERTAIN: 2}
    assert len(carrier.accepts()) == 2


def test_what_never_left_is_sent_by_the_next_start(carrier, tmp_path):
    """The provider was away, or the credentials were wrong: mend it, and call again."""
    run_file = tmp_path / "run.jsonl"
    with Client(nobody_there(), frm=FRM, retries=0) as away:
        assert Outcome.ACCEPTED not in statuses(away.send_many(people(20), "Hi", run_file=run_file))
    with Client(url_of(carrier, secret="wrong"), frm=FRM) as unknown:
        assert Outcome.ACCEPTED not in statuses(unknown.send_many(people(20), "Hi", run_file=run_file))
    with Client(url_of(carrier), frm=FRM) as client:
        results = client.send_many(people(20), "Hi", run_file=run_file)

    assert statuses(results) == {Outcome.ACCEPTED: 20}
    assert carrier.judge().duplicates == 0


def test_rows_may_be_added_at_the_end(outbox, tmp_path):
    """Late sign-ups: the same file goes on."""
    with Client("memory:", frm=FRM) as client:
        client.send_many(people(5), "Hi", run_file=tmp_path / "run.jsonl")
        results = client.send_many(people(8), "Hi", run_file=tmp_path / "run.jsonl")

    assert [result.earlier for result in results] == [True] * 5 + [False] * 3
    assert len(outbox) == 8


# What must not be mixed up


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "Hello"},
        {"frm": "+12025550101"},
        {"rows": [people(5)[1], people(5)[0], *people(5)[2:]]},
        {"rows": people(3)},
        {"rows": []},
    ],
    ids=["text", "sender", "order", "fewer", "none"],
)
def test_run_file_of_another_run_is_refused(outbox, tmp_path, changed):
    """Before anything is sent, in words."""
    call = {"rows": people(5), "text": "Hi", "frm": FRM}
    with Client("memory:") as client:
        client.send_many(**call, run_file=tmp_path / "run.jsonl")
        outbox.clear()
        with pytest.raises(paceline.RunFileError, match="run"):
            client.send_many(**(call | changed), run_file=tmp_path / "run.jsonl")

    assert outbox == []


def test_nothing_leaves_before_all_known_rows_have_been_compared(outbox, tmp_path):
    """The first row is still to be sent, and the six hundredth is somebody else now: nobody is texted."""
    run_file = tmp_path / "run.jsonl"
    with Client("memory:", frm=FRM) as client:
        client.send_many(people(600), "Hi", run_file=run_file)
        with run_file.open("a") as file:
            file.write('{"row":0,"is":"returned"}\n')
        outbox.clear()
        with pytest.raises(paceline.RunFileError, match="row 599"):
            client.send_many([*people(599), "+12015550199"], "Hi", run_file=run_file)
        assert outbox == []
        assert client.send_many(people(600), "Hi", run_file=run_file)[0].accepted

    assert len(outbox) == 1


def test_two_runs_cannot_share_a_file(carrier, tmp_path):
    """The second is told; the first is not disturbed."""
    carrier.change(latency_min=0.05)

    async def main():
        async with AsyncClient(url_of(carrier), frm=FRM, connections=2) as client:
            first = asyncio.create_task(client.send_many(people(20), "Hi", run_file=tmp_path / "run.jsonl"))
            await asyncio.sleep(0.05)
            with pytest.raises(paceline.RunFileError, match="in use"):
                await client.send_many(people(20), "Hi", run_file=tmp_path / "run.jsonl")
            return await first

    assert statuses(asyncio.run(main())) == {Outcome.ACCEPTED: 20}
    assert carrier.judge().duplicates == 0


@pytest.mark.parametrize("torn", [b'{"row":4,"is":"submi', b'{"row":4,"is":"accepted","provi', b"{", b"\xff\x00"])
def test_torn_last_line_is_dropped(outbox, tmp_path, torn):
    """Half a line is an intent that was never acted on, or an outcome that is uncertain then."""
    run_file = tmp_path / "run.jsonl"
    with Client("memory:", frm=FRM) as client:
        client.send_many(people(5), "Hi", run_file=run_file)
        lines = [line for line in run_file.read_bytes().splitlines(keepends=True) if b'"row":4' not in line]
        run_file.write_bytes(b"".join(lines) + torn)
        results = client.send_many(people(5), "Hi", run_file=run_file)

    assert statuses(results) == {Outcome.ACCEPTED: 5}
    assert [result.earlier for result in results] == [True] * 4 + [False]
    assert all(json.loads(line) for line in run_file.read_text().splitlines())


@pytest.mark.parametrize("content", [b"name,phone\nAda,1\n", b"name\nAda", b"Ada", b'{"row":1}\n', b"\n"])
def test_file_of_another_kind_is_left_alone(outbox, tmp_path, content):
    """Somebody's contacts given as run_file: nothing is sent and nothing overwritten."""
    run_file = tmp_path / "contacts.csv"
    run_file.write_bytes(content)
    with Client("memory:", frm=FRM) as client, pytest.raises(paceline.RunFileError, match="no run file"):
        client.send_many(people(5), "Hi", run_file=run_file)

    assert run_file.read_bytes() == content
    assert outbox == []


def test_damaged_file_stops_the_run(outbox, tmp_path):
    """A broken line in the middle is no kill's work: who has been texted is not known any more."""
    run_file = tmp_path / "run.jsonl"
    with Client("memory:", frm=FRM) as client:
        client.send_many(people(5), "Hi", run_file=run_file)
        lines = run_file.read_bytes().splitlines(keepends=True)
        lines[3] = b"garbage\n"
        run_file.write_bytes(b"".join(lines))
        outbox.clear()
        with pytest.raises(paceline.RunFileError, match="line 4"):
            client.send_many(people(5), "Hi", run_file=run_file)

    assert outbox == []


def test_full_disk_stops_the_run_before_the_next_submit(outbox, tmp_path, monkeypatch):
    """What cannot be written down is not sent."""
    write, left = paceline.sms.runs.os.write, [4]

    def until_full(file, block):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return write(file, block)

    monkeypatch.setattr(paceline.sms.runs.os, "write", until_full)
    with Client("memory:", frm=FRM, connections=4) as client, pytest.raises(OSError):
        client.send_many(people(100), "Hi", run_file=tmp_path / "run.jsonl")
    monkeypatch.undo()
    sent = [each["number"] for each in transports.memory_outbox]
    intents = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()[1:]]

    assert len(sent) <= len({line["row"] for line in intents}) < 100


def test_run_file_tells_no_number_and_no_text(outbox, tmp_path):
    """Only hashes, and it is the owner's alone to read."""
    run_file = tmp_path / "run.jsonl"
    with Client("memory:", frm=FRM) as client:
        client.send_many(people(5), "canary", run_file=run_file)

    assert [
        word for word in ("canary", FRM[1:], *(number[1:] for number in people(5))) if word in run_file.read_text()
    ] == []
    assert run_file.stat().st_mode & 0o077 == 0
