"""Delivery reports and replies: signed as Vonage signs, repeated until taken, in any order that is asked for."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from paceline.sandbox.behaviour import Behaviour, Forgery
from paceline.sandbox.carrier import Running
from paceline.sandbox.wires.vonage import Vonage

N = 20
ACCOUNT = Vonage(application_id="78d335fa-323d-4114-9c3d-d6f0d48968cf")


@pytest.fixture
def run(tmp_path: Path, client: Any, receiver: Any) -> Callable[..., Running]:
    """Submits N messages to a carrier that behaves like this and waits until it owes nothing."""

    def until_settled(n: int = N, linger_seconds: float = 0.0, **behaviour: Any) -> Running:
        settings = {"report_delay": 0.05, "reply_delay": 0.05, **behaviour}
        with Running(
            Behaviour(**settings),
            ledger=tmp_path / "log",
            status_url=receiver.status_url,
            inbound_url=receiver.inbound_url,
            wire=ACCOUNT,
        ) as carrier:
            client.submit(carrier.url, *(client.body(n) for n in range(n)))
            carrier.settle()
            time.sleep(linger_seconds)
        return carrier

    return until_settled


def words(receiver: Any) -> Counter[tuple[str, str]]:
    """How often each report came, by reference and status."""
    return Counter((report["client_ref"], report["status"]) for report in receiver.reports)


def genuine(webhook: Any) -> bool:
    """What a careful receiver checks, with an independent library."""
    try:
        claims = jwt.decode(
            webhook.token, ACCOUNT.signature_secret, algorithms=["HS256"], issuer="Vonage", leeway=60,
            options={"require": ["iat", "jti", "iss", "payload_hash", "api_key", "application_id"]},
        )  # fmt: skip
    except jwt.InvalidTokenError:
        return False
    return (
        claims["payload_hash"] == hashlib.sha256(webhook.body).hexdigest()
        and claims["api_key"] == ACCOUNT.api_key
        and claims["application_id"] == ACCOUNT.application_id
        and abs(claims["iat"] - time.time()) < 300
    )


def test_reports_of_a_delivered_message(run: Any, receiver: Any) -> None:
    """`submitted` and `delivered` once each per message, as the documentation shows them, and the log says so."""
    carrier = run()
    references = [accept.reference for accept in carrier.accepts()]
    [final] = [r for r in receiver.reports if r["client_ref"] == references[0] and r["status"] == "delivered"]

    assert words(receiver) == Counter((r, status) for r in references for status in ("submitted", "delivered"))
    assert final == {
        "message_uuid": carrier.accepts()[0].provider_id,
        "to": carrier.accepts()[0].number.lstrip("+"),
        "from": "12125550199",
        "timestamp": final["timestamp"],
        "status": "delivered",
        "channel": "sms",
        "client_ref": references[0],
        "usage": {"currency": "EUR", "price": "0.0079"},
        "destination": {"network_code": "310260"},
        "sms": {"count_total": "1"},
    }
    assert Counter(e["status"] for e in carrier.events("reported")) == {"submitted": N, "delivered": N}


def test_signatures(run: Any, receiver: Any) -> None:
    """Every report and every reply verifies, each with an id of its own."""
    run(replies=1.0)
    ids = [jwt.decode(w.token, options={"verify_signature": False})["jti"] for w in receiver.webhooks]

    assert len(receiver.webhooks) == 3 * N
    assert all(genuine(webhook) for webhook in receiver.webhooks)
    assert len(set(ids)) == 3 * N


def test_forged_webhooks(run: Any, receiver: Any) -> None:
    """Beside the genuine ones comes one forgery per message, of every kind, and the log keeps how it was answered."""
    receiver.answer = lambda webhook: 200 if genuine(webhook) else 401
    carrier = run(40, forged=1.0)
    lies = [webhook for webhook in receiver.webhooks if not genuine(webhook)]
    forged = carrier.events("forged")

    assert {each["forgery"] for each in forged} == {forgery.value for forgery in Forgery}
    assert [each["answer"] for each in forged] == [401] * len(forged)
    assert len(lies) == len(forged) == 40
    assert all(lie.json["error"]["title"] == "1240" for lie in lies)
    assert sum(words(receiver).values()) == 3 * 40


@pytest.mark.parametrize(
    ("behaviour", "status", "codes"),
    [
        ({"opted_out": 1.0}, {"rejected"}, {"1240"}),
        ({"opted_out_numbers": tuple(f"+120055501{n:02}" for n in range(N))}, {"rejected"}, {"1240"}),
        ({"expired_numbers": tuple(f"+120055501{n:02}" for n in range(N))}, {"rejected"}, {"1360"}),
        ({"undelivered": 1.0}, {"rejected", "undeliverable"}, {"1190", "1260", "1250", "1210", "1360", "1330"}),
    ],
)
def test_messages_that_do_not_arrive(
    run: Any, receiver: Any, behaviour: dict[str, Any], status: set[str], codes: set[str]
) -> None:
    """Accepted, submitted, and then rejected or undeliverable with a code."""
    run(**behaviour)
    finals = [report for report in receiver.reports if report["status"] != "submitted"]

    assert len(finals) == N
    assert {report["status"] for report in finals} == status
    assert {report["error"]["title"] for report in finals} <= codes
    assert len({report["error"]["title"] for report in finals}) >= min(3, len(codes))


def test_early_reports(tmp_path: Path, client: Any, receiver: Any) -> None:
    """Both reports have arrived before the HTTP answer does, even with an answer that never comes."""
    behaviour = Behaviour(early=1.0, latency_min=0.2)
    with Running(behaviour, ledger=tmp_path / "log", status_url=receiver.status_url) as carrier:
        [answer] = client.submit(carrier.url, client.body())
        answered_at = time.time()
        carrier.settle()

    assert answer.status == 202
    assert len(receiver.webhooks) == 2
    assert all(webhook.at < answered_at - 0.15 for webhook in receiver.webhooks)


def test_duplicated_reports(run: Any, receiver: Any) -> None:
    """Each comes twice; the second copy may still be on its way when nothing is owed."""
    carrier = run(report_delay=0.0, duplicated=1.0, linger_seconds=0.4)

    assert set(words(receiver).values()) == {2}
    assert carrier.state()["reported"] == 4 * N


def test_reordered_reports(run: Any, receiver: Any) -> None:
    """The final report comes first."""
    run(reordered=1.0)
    order: dict[str, list[str]] = {}
    for report in receiver.reports:
        order.setdefault(report["client_ref"], []).append(report["status"])

    assert list(order.values()) == [["delivered", "submitted"]] * N


def test_late_reports(run: Any, receiver: Any) -> None:
    """The final report comes late, `submitted` does not."""
    carrier = run(late=1.0, late_seconds=0.5)
    accepted_at = {accept.reference: accept.at for accept in carrier.accepts()}
    waits = {status: [] for status in ("submitted", "delivered")}
    for webhook in receiver.webhooks:
        waits[webhook.json["status"]].append(webhook.at - accepted_at[webhook.json["client_ref"]])

    assert min(waits["delivered"]) >= 0.5
    assert min(waits["submitted"]) < 0.3


def test_missing_reports(run: Any, receiver: Any) -> None:
    """They never come, the log says dropped, and so nothing is owed."""
    carrier = run(missing=0.5)
    dropped = {each["reference"] for each in carrier.events("dropped")}
    heard = {reference for reference, _ in words(receiver)}

    assert 0 < len(dropped) < N
    assert not dropped & heard
    assert len(dropped | heard) == N


def test_a_receiver_that_fails(run: Any, receiver: Any) -> None:
    """Each report comes again until it is answered 2xx, and only then the log says reported."""
    seen: Counter[bytes] = Counter()

    def third_time_lucky(webhook: Any) -> int:
        key = webhook.json["client_ref"] + webhook.json["status"]
        seen[key] += 1
        return 200 if seen[key] == 3 else 503

    receiver.answer = third_time_lucky
    carrier = run()

    assert set(words(receiver).values()) == {3}
    assert carrier.state()["reported"] == 2 * N


def test_a_receiver_that_is_not_there_yet(tmp_path: Path, client: Any, receiver: Any, new_receiver: Any) -> None:
    """Reports wait for it, and are all there soon after it comes."""
    port = receiver.port
    receiver.close()
    url = f"http://127.0.0.1:{port}/status"
    with Running(Behaviour(report_delay=0.01), ledger=tmp_path / "log", status_url=url) as carrier:
        client.submit(carrier.url, *(client.body(n) for n in range(N)))
        time.sleep(0.4)
        owed = carrier.state()["owed"]
        late = new_receiver(port)
        carrier.settle(5)

    assert owed == N
    assert len(late.webhooks) == 2 * N


def test_a_message_with_its_own_webhook(tmp_path: Path, client: Any, receiver: Any) -> None:
    """`webhook_url` overrides the carrier's setting for this message, over a restart too."""
    with Running(Behaviour(report_delay=0.3), ledger=tmp_path / "log") as carrier:
        client.submit(carrier.url, client.body(1, webhook_url=receiver.status_url + "/own"), client.body(2))
        carrier.restart()
        carrier.settle()

    assert {webhook.path for webhook in receiver.webhooks} == {"/status/own"}
    assert len(receiver.webhooks) == 2


def test_replies(run: Any, receiver: Any) -> None:
    """A share of the messages is answered, with the roles of the numbers exchanged, as the documentation shows it."""
    carrier = run(seed=1, replies=0.5)
    lines = {line["provider_id"]: line for line in carrier.events("reply")}

    assert 4 < len(receiver.texts) < 16
    assert {text["message_uuid"] for text in receiver.texts} == set(lines)
    for text in receiver.texts:
        line = lines[text["message_uuid"]]
        assert (text["from"], text["to"]) == (line["from"].lstrip("+"), line["to"].lstrip("+"))
        assert text["text"] == line["text"]
        assert text["sms"]["keyword"] == text["text"].replace("'", " ").split()[0].strip("!?,").upper()
    assert {e["provider_id"] for e in carrier.events("replied")} == set(lines)


def test_a_number_says_stop_once(tmp_path: Path, client: Any, receiver: Any) -> None:
    """Exactly the people whom the behaviour names, each once, however many messages and restarts there are."""
    behaviour = Behaviour(stops=0.4, report_delay=0.01, reply_delay=0.01)
    with Running(
        behaviour, ledger=tmp_path / "log", status_url=receiver.status_url, inbound_url=receiver.inbound_url
    ) as carrier:
        for turn in "ab":
            client.submit(carrier.url, *(client.body(n, client_ref=f"{turn}{n}") for n in range(N)))
            carrier.settle()
            carrier.restart()
        numbers = {accept.number for accept in carrier.accepts()}

    expected = sorted(number.lstrip("+") for number in numbers if behaviour.says_stop(number))
    assert 0 < len(expected) < N
    assert sorted(text["from"] for text in receiver.texts) == expected
    assert {text["sms"]["keyword"] for text in receiver.texts} == {"STOP"}
