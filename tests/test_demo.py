"""The main job: a messy sheet of 800 attendees becomes paced, tracked, delivered texts."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from paceline.sandbox import ledger

from .installation import environment


def demo(folder: Path, *flags: str) -> dict[str, Any]:
    """Runs the headless demo to its end; its report, the last line of stdout."""
    command = [
        sys.executable,
        "-m",
        "paceline",
        "demo",
        "--headless",
        "--json",
        "--port",
        "0",
        "--data-dir",
        str(folder),
    ]
    done = subprocess.run([*command, *flags], env=environment(), capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def busiest(folder: Path) -> int:
    """The most submits of one sender in any sliding second, by the wire log."""
    wire: dict[str, list[float]] = defaultdict(list)
    for line in (folder / "wire.jsonl").read_text().splitlines():
        record = json.loads(line)
        wire[record["from"]].append(record["at"])
    return max(ledger.busiest_window(times, 1.0) for times in wire.values())


def closest(folder: Path) -> tuple[float, float]:
    """The least seconds between two submits of one sender, by the wire log and by the carrier's."""

    def least(moments: dict[str, list[float]]) -> float:
        return min(b - a for times in moments.values() for a, b in zip(sorted(times), sorted(times)[1:], strict=False))

    wire: dict[str, list[float]] = defaultdict(list)
    for line in (folder / "wire.jsonl").read_text().splitlines():
        record = json.loads(line)
        wire[record["from"]].append(record["at"])
    carrier: dict[str, list[float]] = defaultdict(list)
    for accept in ledger.accepts(folder / "carrier.jsonl"):
        carrier[accept.sender].append(accept.at)
    return least(wire), least(carrier)


def check(report: dict[str, Any], folder: Path, root: Path) -> None:
    """What holds at any pace: the verdicts, everybody once, balanced and sticky, every report applied."""
    expected = json.loads((root / "examples" / "attendees.expected.json").read_text())
    ready = {number for _, verdict, number in expected["verdicts"] if verdict == "ready"}
    accepts = list(ledger.accepts(folder / "carrier.jsonl"))

    assert {key: report[key] for key in ("rows", "ready", "duplicate", "invalid")} == {
        key: expected[key] for key in ("rows", "ready", "duplicate", "invalid")
    }
    assert Counter(accept.number for accept in accepts) == Counter(ready)
    assert (report["recipients"], report["accepted"], report["delivered"]) == (724, 724, 724)
    assert (report["duplicates"], report["uncertain"]) == (0, 0)
    assert sorted(report["senders"].values()) == [144, 145, 145, 145, 145]
    assert report["opted_out"] > 0


@pytest.mark.slow
def test_the_demo_sends_to_each_of_724_once_and_the_same_folder_resumes(tmp_path: Path, root: Path) -> None:
    """One command, one report; given the same folder again it has nothing left to do and says the same."""
    report = demo(tmp_path / "d", "--mps", "20")
    check(report, tmp_path / "d", root)
    assert busiest(tmp_path / "d") <= 20

    again = demo(tmp_path / "d", "--mps", "20")
    assert again == report
    nothing_secret_is_said(tmp_path / "d")


def nothing_secret_is_said(folder: Path) -> None:
    """No secret, number or text is in a log at default level, and the secrets are readable by their owner only."""
    secrets_file = folder / "secrets.env"
    kept = dict(line.split("=", 1) for line in secrets_file.read_text().splitlines())
    canaries = [value for name, value in kept.items() if name != "VONAGE_BASE_URL"]  # an address, no secret
    canaries += [accept.number[2:] for accept in ledger.accepts(folder / "carrier.jsonl")]
    canaries += ["Doors open"]
    logs = {path.name: path.read_text() for path in folder.glob("*.log")}

    assert stat.S_IMODE(secrets_file.stat().st_mode) == 0o600
    assert {"carrier.log", "dispatcher.log", "web.log"} <= set(logs)
    assert [(name, canary) for name, text in logs.items() for canary in canaries if canary in text] == []


def test_the_demo_shows_a_dashboard_by_a_link_that_works_once(tmp_path: Path) -> None:
    """A link is printed; it opens the campaign list, once; Ctrl-C drains, stops and leaves no process behind."""
    command = [sys.executable, "-m", "paceline", "demo", "--port", "0", "--mps", "1", "--data-dir", str(tmp_path / "d")]
    running = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert running.stdout is not None
    link = next(word for line in running.stdout for word in line.split() if "/login/" in word)
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(link) as page:
        shown = page.read().decode()
    with pytest.raises(urllib.error.HTTPError) as second:
        urllib.request.urlopen(link)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)

    assert "Demo: attendees.csv" in shown
    assert second.value.code == 410
    assert "127.0.0.1" in link
    with pytest.raises(OSError):
        urllib.request.urlopen(link.split("/login/")[0])


@pytest.mark.one_mps
@pytest.mark.timeout(400)
def test_at_one_a_second_no_sender_ever_submits_twice_in_a_second(tmp_path: Path, root: Path) -> None:
    """Five senders at 1 mps: by the wire log never two in a second, by the carrier's never two in 0.95 s."""
    report = demo(tmp_path / "d")
    wire, carrier = closest(tmp_path / "d")
    print(json.dumps(report), f"closest on the wire {wire:.4f} s, at the carrier {carrier:.4f} s", sep="\n")

    check(report, tmp_path / "d", root)
    assert report["seconds"] <= 160
    assert report["max_per_sender_per_second"] == 1
    assert wire >= 1.0
    assert carrier >= 0.95


def test_a_folder_that_is_no_demos_is_not_touched(tmp_path: Path) -> None:
    """--fresh empties a demo's folder, never another one."""
    (tmp_path / "thesis.txt").write_text("two years of work")
    command = [sys.executable, "-m", "paceline", "demo", "--fresh", "--headless", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "choose another with --data-dir" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "two years of work"


def test_the_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    """The first drains; the second does not wait for it, and leaves no process and no traceback."""
    command = [sys.executable, "-m", "paceline", "demo", "--port", "0", "--mps", "1", "--data-dir", str(tmp_path / "d")]
    running = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert running.stdout is not None and running.stderr is not None
    next(line for line in running.stdout if "/login/" in line)
    running.send_signal(signal.SIGINT)
    next(line for line in running.stderr if "Draining" in line)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=30)

    assert running.returncode == 130
    assert "Traceback" not in told
