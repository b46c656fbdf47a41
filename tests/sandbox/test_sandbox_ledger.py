"""The log and its judge: whole lines only, and counts that cannot be argued with."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline.sandbox import ledger
from paceline.sandbox.ledger import Accept, Ledger, busiest_window, judge


def accept(at: float, number: str = "+12125550100", sender: str = "+12125550199", reference: str = "") -> Accept:
    return Accept(at=at, sender=sender, number=number, reference=reference)


def test_a_half_line_from_a_kill(tmp_path: Path) -> None:
    """The half is skipped, and the next line after a restart does not grow onto it."""
    path = tmp_path / "log"
    first = json.dumps(accept(1.0, reference="a").record())
    path.write_text(f"{first}\n{first[:40]}")

    log = Ledger(path)
    log.append(accept(2.0, reference="b").record())
    log.close()

    assert [each.reference for each in ledger.accepts(path)] == ["a", "b"]


def test_a_line_read_back_is_the_accept_that_was_written(tmp_path: Path) -> None:
    """Texts of any kind, lone surrogates and line breaks included, come back as they were."""
    whole = Accept(1732100000.123456, "PACELINE", "+12125550100", "r", "é€😀\n\u2028\ud800", "id", "http://127.0.0.1/x")
    log = Ledger(tmp_path / "log")
    log.append(whole.record(), accept(2.0).record())
    log.close()

    assert list(ledger.accepts(tmp_path / "log")) == [whole, accept(2.0)]


def test_a_full_disk_leaves_no_half_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When only a part fits, the part is taken back and the caller hears of it."""
    log = Ledger(tmp_path / "log")
    log.append(accept(1.0, reference="a").record())
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:30]))

    with pytest.raises(OSError, match="30 of"):
        log.append(accept(2.0, reference="b").record())

    monkeypatch.undo()
    log.append(accept(3.0, reference="c").record())
    log.close()
    assert [json.loads(line)["reference"] for line in (tmp_path / "log").read_text().splitlines()] == ["a", "c"]


def test_judging_a_carriers_log() -> None:
    """Twice to one number is a duplicate; the limit is judged by sender and in all."""
    log = [accept(at / 10, f"+1212555010{at % 7}", sender) for at in range(10) for sender in ("+12125550198", "A")]

    judgement = judge(log)

    assert judgement.accepted == 20
    assert judgement.duplicates == 13
    assert judgement.senders == {"+12125550198": 10, "A": 10}
    assert judgement.max_per_sender_per_second == 10
    assert judgement.max_per_second == 20
    assert judge(log, window_seconds=0.45).busiest == {"+12125550198": 5, "A": 5}


def test_judging_a_wire_log(tmp_path: Path) -> None:
    """Lines without an event and without a number count as submits, by reference."""
    path = tmp_path / "wire"
    lines = [{"at": 1.0, "from": "A", "reference": "a"}, {"at": 1.5, "from": "A", "reference": "b"}]
    path.write_text("".join(json.dumps(each) + "\n" for each in [*lines, lines[0]]))

    judgement = judge(ledger.accepts(path), window_seconds=1.0)

    assert (judgement.accepted, judgement.duplicates, judgement.max_per_sender_per_second) == (3, 1, 3)


@pytest.mark.parametrize(
    ("times", "seconds", "most"),
    [
        ([], 1.0, 0),
        ([5.0], 1.0, 1),
        ([0.0, 1.0, 2.0], 1.0, 1),  # half-open: exactly a second apart never meets
        ([0.0, 0.999, 1.0], 1.0, 2),
        ([3.0, 1.0, 2.0, 1.5], 1.0, 2),
        ([1.0] * 4, 0.95, 4),
    ],
)
def test_busiest_window(times: list[float], seconds: float, most: int) -> None:
    """The most in any half-open window, whatever the order."""
    assert busiest_window(times, seconds) == most


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 5000), max_size=60), st.integers(1, 2000))
def test_busiest_window_is_what_counting_every_window_finds(moments: list[int], width: int) -> None:
    """The sliding count equals the plain one."""
    plain = max((sum(start <= each < start + width for each in moments) for start in moments), default=0)

    assert busiest_window([float(each) for each in moments], float(width)) == plain
