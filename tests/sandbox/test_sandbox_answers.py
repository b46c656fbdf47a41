"""Every fault does what it says, and the log says which submissions were taken."""

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running

N = 20


@pytest.mark.parametrize(
    ("fault", "accepts", "statuses"),
    [
        ("throttle", False, {429}),
        ("error", False, {500, 502, 503, 504}),
        ("garbage", False, {200, 202}),
        ("redirect", False, {307}),
        ("accept_error", True, {500, 502, 503, 504}),
        ("accept_garbage", True, {200, 202}),
    ],
)
def test_an_answer_that_does_not_help(
    tmp_path: Path, client: Any, fault: str, accepts: bool, statuses: set[int]
) -> None:
    """The answer is as named, and the log tells taken from not taken where the answer cannot."""
    with Running(Behaviour(**{fault: 1.0}), ledger=tmp_path / "log") as carrier:
        answers = client.submit(carrier.url, *(client.body(n) for n in range(N)))
        state = carrier.state()

    assert {answer.status for answer in answers} <= statuses
    assert state["accepted"] == len(carrier.accepts()) == (N if accepts else 0)
    assert state["throttled"] + state["failed"] == (0 if accepts else N)
    if "garbage" in fault:
        assert len({answer.body for answer in answers}) > 2
        assert not any(carried(answer) for answer in answers)


def carried(answer: Any) -> bool:
    """Whether an answer names a message."""
    try:
        return "message_uuid" in answer.json
    except ValueError:
        return False


@pytest.mark.parametrize(("fault", "accepted"), [("reset", 0), ("accept_reset", N)])
def test_a_reset_connection(tmp_path: Path, client: Any, fault: str, accepted: int) -> None:
    """The client hears nothing but a broken connection, the log knows."""
    with Running(Behaviour(**{fault: 1.0}), ledger=tmp_path / "log") as carrier:
        answers = client.submit(carrier.url, *(client.body(n) for n in range(N)))

    assert all(isinstance(answer.error, aiohttp.ClientConnectionError | aiohttp.ClientOSError) for answer in answers)
    assert len(carrier.accepts()) == accepted


@pytest.mark.parametrize(("fault", "accepted"), [("hang", 0), ("accept_hang", 3)])
def test_a_connection_that_hangs(tmp_path: Path, client: Any, fault: str, accepted: int) -> None:
    """No answer until the client gives up; the log had the line at once; and stopping does not wait for it."""
    with Running(Behaviour(**{fault: 1.0}), ledger=tmp_path / "log") as carrier:
        answers = client.submit(carrier.url, *(client.body(n) for n in range(3)), timeout=0.3)
        accepts = carrier.accepts()
        began = time.monotonic()
        carrier.stop()

    assert all(isinstance(answer.error, TimeoutError) for answer in answers)
    assert len(accepts) == accepted
    assert time.monotonic() - began < 2


def test_a_throttled_answer_names_the_wait(tmp_path: Path, client: Any) -> None:
    """Retry-After in whole seconds, or no header when it is 0, which is how Vonage does it."""
    with Running(Behaviour(throttle=1.0, retry_after=3), ledger=tmp_path / "log") as carrier:
        [named] = client.submit(carrier.url, client.body())
        carrier.change(retry_after=0)
        [silent] = client.submit(carrier.url, client.body())

    assert named.headers["Retry-After"] == "3"
    assert named.json["type"].endswith("messages#1000")
    assert "Retry-After" not in silent.headers


def test_a_client_that_follows_redirects_is_found_out(tmp_path: Path, client: Any) -> None:
    """The target of the redirect counts who comes; nothing is accepted there."""
    with Running(Behaviour(redirect=1.0), ledger=tmp_path / "log") as carrier:
        [answer] = client.submit(carrier.url, client.body())
        client.get(carrier.url + answer.headers["Location"])
        state = carrier.state()

    assert (state["redirects_followed"], state["accepted"]) == (1, 0)


def test_latency_does_not_touch_the_stamp(tmp_path: Path, client: Any) -> None:
    """The answer takes as long as it was told to, the line in the log has the moment of arrival."""
    with Running(Behaviour(latency_min=0.3), ledger=tmp_path / "log") as carrier:
        began = time.time()
        [answer] = client.submit(carrier.url, client.body())
        ended = time.time()
        [accept] = carrier.accepts()

    assert answer.status == 202
    assert ended - began >= 0.3
    assert accept.at - began < 0.2


def test_a_limit_is_enforced_by_sender(tmp_path: Path, client: Any) -> None:
    """More than mps at once is 429, one sender does not use up another's, and the log's judge agrees."""
    bodies = [client.body(n, **{"from": sender}) for n in range(8) for sender in ("12125550198", "12125550199")]
    with Running(Behaviour(mps=5), ledger=tmp_path / "log") as carrier:
        answers = client.submit(carrier.url, *bodies)
        time.sleep(1.0)
        [later] = client.submit(carrier.url, client.body(99))
        carrier.change(mps=0, account_mps=4)
        account = client.submit(carrier.url, *bodies)
        judgement = carrier.judge()

    assert sorted(answer.status for answer in answers) == [202] * 10 + [429] * 6
    assert later.status == 202
    assert [answer.status for answer in account].count(202) == 4
    assert {each["why"] for each in carrier.events("throttled")} == {"sender limit", "account limit"}
    assert judgement.max_per_sender_per_second == 5


def test_numbers_that_are_refused(tmp_path: Path, client: Any) -> None:
    """The same people are refused on every try, with 422 and 1430."""
    behaviour = Behaviour(refused=0.3, refused_numbers=("+12005550100",))
    with Running(behaviour, ledger=tmp_path / "log") as carrier:
        first = client.submit(carrier.url, *(client.body(n) for n in range(40)))
        second = client.submit(carrier.url, *(client.body(n, client_ref=f"again{n}") for n in range(40)))
        numbers = {accept.number for accept in carrier.accepts()}

    assert [answer.status for answer in first] == [answer.status for answer in second]
    assert first[0].status == 422
    assert first[0].json["type"].endswith("#1430")
    assert not any(behaviour.refuses(number) for number in numbers)
    assert len(numbers) + [answer.status for answer in first].count(422) == 40


@pytest.mark.parametrize(
    ("phase", "status", "fragment"),
    [("unauthorized_after", 401, "unauthorized"), ("low_balance_after", 402, "low-balance")],
)
def test_a_phase_in_which_nothing_is_accepted(
    tmp_path: Path, client: Any, phase: str, status: int, fragment: str
) -> None:
    """It begins after so many messages, stays over a restart, and is over after so many answers."""
    with Running(Behaviour(**{phase: 3, "trouble_requests": 4}), ledger=tmp_path / "log") as carrier:
        answers = [client.submit(carrier.url, client.body(n))[0] for n in range(5)]
        carrier.restart()
        answers += [client.submit(carrier.url, client.body(n))[0] for n in range(5, 9)]

    assert [answer.status for answer in answers] == [202] * 3 + [status] * 4 + [202] * 2
    assert answers[3].json["type"].endswith(fragment)


def test_the_same_run_again(tmp_path: Path, client: Any) -> None:
    """One seed, the same references, another order and timing: each reference fares the same."""
    behaviour = Behaviour(seed=3, throttle=0.2, error=0.2, reset=0.1, accept_reset=0.1, accept_error=0.2)
    fates = []
    for order in (1, -1):
        with Running(behaviour, ledger=tmp_path / f"log{order}") as carrier:
            bodies = [client.body(n) for n in range(60)][::order]
            answers = client.submit(carrier.url, *bodies)
            taken = {accept.reference for accept in carrier.accepts()}
        fates.append(
            {b["client_ref"]: (a.status, b["client_ref"] in taken) for a, b in zip(answers, bodies, strict=True)}
        )

    assert fates[0] == fates[1]
    assert len(set(fates[0].values())) >= 5


def test_looking_up_a_message(tmp_path: Path, client: Any) -> None:
    """200 with the record when it was taken, whatever was answered; 404 when not; over a restart too; 501 when off."""
    with Running(Behaviour(accept_reset=1.0, report_delay=0), ledger=tmp_path / "log") as carrier:
        taken, other = client.body(1), client.body(2)
        client.submit(carrier.url, taken, taken)
        carrier.change(accept_reset=0.0, reset=1.0)
        client.submit(carrier.url, other)
        carrier.restart()
        found = client.get(f"{carrier.url}/sandbox/messages/{taken['client_ref']}")
        absent = client.get(f"{carrier.url}/sandbox/messages/{other['client_ref']}")
        carrier.change(lookup=False)
        off = client.get(f"{carrier.url}/sandbox/messages/{taken['client_ref']}")

    assert found.json["provider_id"] == carrier.accepts()[0].provider_id
    assert (found.json["status"], found.json["submissions"]) == ("delivered", 2)
    assert (found.status, absent.status, off.status) == (200, 404, 501)


def test_control(tmp_path: Path, client: Any) -> None:
    """Health is 200 as soon as it listens, and the state counts."""
    with Running(ledger=tmp_path / "log") as carrier:
        health = client.get(f"{carrier.url}/sandbox/health")
        client.submit(carrier.url, *(client.body(n) for n in range(3)))
        state = client.get(f"{carrier.url}/sandbox/state").json

    assert health.status == 200
    assert (state["accepted"], state["repeated"], state["owed"]) == (3, 0, 0)


def test_a_log_that_cannot_be_written(tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the answer is 500, nothing is accepted, and a look-up says so."""
    with Running(ledger=tmp_path / "log") as carrier:
        with monkeypatch.context() as full:
            full.setattr("paceline.sandbox.ledger.os.write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
            [answer] = client.submit(carrier.url, client.body(1))
        [again] = client.submit(carrier.url, client.body(2))
        found = client.get(f"{carrier.url}/sandbox/messages/{1:032x}")

    assert (answer.status, again.status, found.status) == (500, 202, 404)
    assert len(carrier.accepts()) == 1


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """A sentence that names the port and what to do."""
    with Running(ledger=tmp_path / "log") as carrier:
        port = int(carrier.url.rpartition(":")[2])
        with pytest.raises(OSError, match=f"Port {port} on 127.0.0.1 is taken"):
            Running(ledger=tmp_path / "other", port=port).start()
