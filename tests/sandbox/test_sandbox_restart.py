"""Whatever kills the carrier, the log knows what it owes, and the next one pays."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from paceline.sandbox import ledger
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running


def start(log: Path, receiver: Any, *flags: str) -> tuple[subprocess.Popen[str], str]:
    """A carrier as a process, and its URL."""
    urls = ["--status-url", receiver.status_url, "--inbound-url", receiver.inbound_url]
    command = [sys.executable, "-m", "paceline.sandbox", "--ledger", str(log), *urls, *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().split()[-1]


def test_a_stopped_carrier_owes_on(tmp_path: Path, client: Any, receiver: Any) -> None:
    """Reports and replies that were due later are sent by the next carrier, once each, on the same port."""
    behaviour = Behaviour(report_delay=0.3, reply_delay=0.1, replies=1.0)
    with Running(
        behaviour, ledger=tmp_path / "log", status_url=receiver.status_url, inbound_url=receiver.inbound_url
    ) as carrier:
        url = carrier.url
        client.submit(url, *(client.body(n) for n in range(20)))
        carrier.restart()
        owed = carrier.state()["owed_reports"]
        state = carrier.settle()

    assert carrier.url == url
    assert 5 < owed <= 20
    assert (state["accepted"], state["reported"], state["replied"]) == (20, 40, 20)
    assert (len(receiver.reports), len(receiver.texts)) == (40, 20)


def test_killed_in_the_middle(tmp_path: Path, client: Any, receiver: Any) -> None:
    """kill -9 amid submissions, reports and replies, three times: each accepted message gets its reports and reply."""
    log = tmp_path / "log"
    flags = ["--report-delay", "0.2", "--reply-delay", "0.2", "--replies", "0.3", "--stops", "0.1", "--missing", "0.1"]
    receiver.answer = lambda _: 200 if len(receiver.webhooks) % 10 else 503
    answered = []
    for life in range(3):
        process, url = start(log, receiver, *flags)
        bodies = [client.body(n) for n in range(life * 150, life * 150 + 150)]
        killer = threading.Timer(0.08 + 0.03 * life, process.kill)
        killer.start()
        while process.poll() is None and bodies:
            some, bodies = bodies[:10], bodies[10:]
            answered += client.submit(url, *some, timeout=2)
        killer.join()
        assert process.wait(5) == -signal.SIGKILL
        process.stdout.close()

    process, url = start(log, receiver, *flags)
    deadline = time.monotonic() + 8
    while (state := client.get(f"{url}/sandbox/state").json)["owed"]:
        assert time.monotonic() < deadline, state
        time.sleep(0.05)
    process.terminate()
    assert process.wait(5) == 0
    process.stdout.close()

    accepted = {accept.provider_id for accept in ledger.accepts(log)}
    records = list(ledger.records(log))
    by_event = {
        event: {r["provider_id"] for r in records if r["event"] == event} for event in ("dropped", "reply", "replied")
    }
    heard = {(report["message_uuid"], report["status"]) for report in receiver.reports}
    assert len(accepted) >= 60
    assert {a.json["message_uuid"] for a in answered if a.status == 202} <= accepted
    assert heard >= {(each, status) for each in accepted - by_event["dropped"] for status in ("submitted", "delivered")}
    assert by_event["dropped"]
    assert by_event["reply"] == by_event["replied"] == {text["message_uuid"] for text in receiver.texts}


def test_terminated_while_it_answers(tmp_path: Path, client: Any, receiver: Any) -> None:
    """SIGTERM lets the answers under way out first, and the exit is clean."""
    process, url = start(tmp_path / "log", receiver, "--latency-min", "5")
    threading.Timer(0.3, process.terminate).start()

    answers = client.submit(url, *(client.body(n) for n in range(5)))

    assert process.wait(5) == 0
    process.stdout.close()
    assert [answer.status for answer in answers] == [202] * 5


def test_wrong_flags_and_a_taken_port(tmp_path: Path) -> None:
    """One sentence on stderr, no traceback, and an exit code that is not 0."""
    with Running(ledger=tmp_path / "log") as carrier:
        port = carrier.url.rpartition(":")[2]
        outcomes = [
            subprocess.run(
                [sys.executable, "-m", "paceline.sandbox", "--ledger", os.devnull, *flags],
                capture_output=True, text=True, timeout=10,
            )
            for flags in (["--port", port], ["--throttle", "2"], ["--public-key", str(tmp_path / "none.pem")])
        ]  # fmt: skip

    assert [outcome.returncode for outcome in outcomes] == [1, 2, 1]
    assert outcomes[0].stderr == f"Port {port} on 127.0.0.1 is taken: choose another, or 0 for any free one\n"
    assert outcomes[1].stderr == "throttle is a share from 0 to 1, not 2.0\n"
    assert outcomes[2].stderr.startswith("No such file or directory")
