"""The clients: one text at a time, through the simulated carrier."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import paceline
from paceline import AsyncClient, Client
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sms import pacing, transports
from paceline.sms.providers.local import Memory

FRM = "+12025550100"
TO = "+12125550123"


def url_of(carrier: Running, secret: str = "sandbox-secret") -> str:
    return f"vonage+http://sandbox:{secret}@{carrier.url.removeprefix('http://')}"


@pytest.fixture
def carrier(tmp_path):
    with Running(Behaviour(), ledger=tmp_path / "ledger.jsonl") as running:
        yield running


@pytest.fixture(autouse=True)
def quick_back_off(monkeypatch):
    """Tests wait as often, and not as long."""
    monkeypatch.setattr(pacing, "FIRST_BACK_OFF_SECONDS", 0.002)


@pytest.fixture
def outbox():
    transports.clear_memory_outbox()
    yield transports.memory_outbox
    transports.clear_memory_outbox()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def nobody_there() -> str:
    return f"vonage+http://key:canary-secret@127.0.0.1:{closed_port()}"


# What a send comes to


def test_text_is_accepted(carrier):
    """The value says under which id, to whom, from whom, in how many segments; the carrier has it once."""
    with Client(url_of(carrier), frm=FRM) as client:
        sent = client.send("115 characters and one €" + "x" * 92, to="+1 (212) 555-0123")

    (accept,) = carrier.accepts()
    assert (sent.provider_id, sent.reference) == (accept.provider_id, accept.reference)
    assert (sent.number, sent.sender, sent.segments) == (accept.number, FRM, 1)
    assert accept.number == TO


def test_arguments_in_the_order_of_django_sms(outbox):
    """`send(text, frm, to)`, as `send_text`; a sender in the call goes before the client's."""
    with Client("memory:", frm=FRM) as client:
        client.send("Hi", "EVENTS", TO)
        client.send("Hi", to=TO)

    assert [each["sender"] for each in outbox] == ["EVENTS", FRM]


def test_async_client_is_the_same(carrier):
    """Many at once over one pool."""

    async def main():
        async with AsyncClient(url_of(carrier), frm=FRM, connections=4) as client:
            return await asyncio.gather(*(client.send(f"Hi {n}", to=TO) for n in range(20)))

    sents = asyncio.run(main())

    assert len({sent.reference for sent in sents}) == 20
    assert {accept.reference for accept in carrier.accepts()} == {sent.reference for sent in sents}


def test_number_is_read_in_a_region(outbox):
    """The client's or the call's; without one a number needs its plus."""
    with Client("memory:", frm=FRM, region="US") as client:
        assert client.send("Hi", to="(212) 555-0123").number == TO
        assert client.send("Hi", to="07400 123456", region="GB").number == "+447400123456"
    with Client("memory:", frm=FRM) as client, pytest.raises(paceline.InvalidNumber) as raised:
        client.send("Hi", to="2125550123")

    assert raised.value.reason == "unknown_country"
    assert len(outbox) == 2


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_text_is_refused(outbox, text):
    """Before anything is asked of the provider."""
    with Client("memory:", frm=FRM) as client, pytest.raises(paceline.Refused):
        client.send(text, to=TO)

    assert outbox == []


def test_forgotten_recipient_is_an_invalid_number(outbox):
    """`send(text, number)` would take the number for the sender: the sentence says how to write it."""
    with Client("memory:", frm=FRM) as client, pytest.raises(paceline.InvalidNumber, match="to="):
        client.send("Hi", TO)

    assert outbox == []


def test_own_reference_goes_along(carrier):
    """And comes back with the provider's reports."""
    with Client(url_of(carrier), frm=FRM) as client:
        client.send("Hi", to=TO, reference="order-7")

    assert carrier.accepts()[0].reference == "order-7"


# What may be tried again


def test_throttled_text_is_tried_again_as_the_same_message(carrier):
    """Each try carries the same reference, and only one was accepted."""
    carrier.change(throttle=0.6, retry_after=0, seed=3)
    with Client(url_of(carrier), frm=FRM, retries=50) as client:
        sents = [client.send("Hi", to=TO, reference=f"r-{n}") for n in range(10)]

    carrier.stop()
    throttled = {each["reference"] for each in carrier.events("throttled")}
    assert len(carrier.accepts()) == 10
    assert throttled <= {sent.reference for sent in sents}
    assert throttled


def test_carrier_that_comes_back_gets_the_text(tmp_path):
    """Connection refused: it certainly did not leave, so it waits and is tried again."""
    port = closed_port()
    client = Client(f"vonage+http://sandbox:sandbox-secret@127.0.0.1:{port}", frm=FRM, retries=30)
    with client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.send, "Hi", to=TO)
        with Running(Behaviour(), ledger=tmp_path / "ledger.jsonl", port=port) as carrier:
            sent = waiting.result(timeout=20)

    assert [accept.reference for accept in carrier.accepts()] == [sent.reference]


def test_after_all_tries_it_says_why():
    """Nobody is there: Unavailable, after the first try and two more."""
    tries = []
    provider = paceline.sms.providers.from_url(nobody_there())
    build = provider.build
    provider.build = lambda message: (tries.append(message.reference), build(message))[1]
    with Client(provider, frm=FRM, retries=2) as client, pytest.raises(paceline.Unavailable):
        client.send("Hi", to=TO)

    assert len(tries) == 3
    assert len(set(tries)) == 1


def test_retry_after_beyond_the_patience_is_not_waited_for(carrier):
    """A minute's patience does not sit out an hour: Throttled comes out at once, with the hour in it."""
    carrier.change(throttle=1.0, retry_after=3600)
    with Client(url_of(carrier), frm=FRM) as client, pytest.raises(paceline.Throttled) as raised:
        client.send("Hi", to=TO)

    assert raised.value.retry_after == 3600


@pytest.mark.parametrize("fault", ["accept_reset", "accept_error", "accept_garbage", "reset", "error", "redirect"])
def test_uncertain_text_is_never_tried_again(carrier, fault):
    """The first seed's timeout that became a second text: here one request leaves, whatever comes back."""
    carrier.change(**{fault: 1.0})
    with Client(url_of(carrier), frm=FRM) as client, pytest.raises(paceline.Uncertain):
        client.send("Hi", to=TO)

    carrier.stop()
    requests = len(carrier.accepts()) + len(carrier.events("failed"))
    assert requests == 1


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Behaviour(refused_numbers=(TO,)), paceline.Refused),
        (Behaviour(unauthorized_after=0), paceline.AccountProblem),
        (Behaviour(low_balance_after=0), paceline.AccountProblem),
    ],
    ids=["refused", "credentials", "balance"],
)
def test_definite_no_comes_out_at_once(tmp_path, behaviour, error):
    """As the class whose reaction is wanted."""
    carrier = Running(behaviour, ledger=tmp_path / "ledger.jsonl")
    with carrier, Client(url_of(carrier), frm=FRM) as client, pytest.raises(error):
        client.send("Hi", to=TO)

    assert len(carrier.events("refused")) == 1


@pytest.mark.parametrize("failures", range(1, 12))
def test_back_off_doubles_within_bounds(monkeypatch, failures):
    """With luck a half of it; never before the provider's own word, never much over half a minute."""
    monkeypatch.undo()
    longest = min(0.5 * 2 ** (failures - 1), 30.0)

    assert pacing.back_off(failures, 0.0) == longest
    assert pacing.back_off(failures, 1.0) == longest / 2
    assert pacing.back_off(failures, 0.0, retry_after=45.0) == 45.0
    assert pacing.back_off(failures, 1.0, retry_after=45.0) == 45.5


# How a client is made


def test_environment_names_provider_and_sender(monkeypatch, outbox):
    """Nothing in the code: PACELINE_PROVIDER and PACELINE_FROM."""
    monkeypatch.setenv("PACELINE_PROVIDER", "memory:")
    monkeypatch.setenv("PACELINE_FROM", FRM)
    with Client() as client:
        client.send("Hi", to=TO)

    assert outbox[0]["sender"] == FRM


def test_provider_object_will_do(outbox):
    """An own class, or one made with more options than a URL says comfortably."""
    with Client(Memory(), frm=FRM) as client:
        client.send("Hi", to=TO)

    assert len(outbox) == 1


def test_without_a_provider_both_ways_are_named(monkeypatch):
    """The error is the documentation."""
    monkeypatch.delenv("PACELINE_PROVIDER", raising=False)

    for make in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"vonage://KEY:SECRET@.*PACELINE_PROVIDER"):
            make()


def test_without_a_sender_all_ways_are_named(monkeypatch, outbox):
    """In the call, in the client, in the environment."""
    monkeypatch.delenv("PACELINE_FROM", raising=False)
    with Client("memory:") as client, pytest.raises(ValueError, match=r"send\(text, frm, to\).*frm=.*PACELINE_FROM"):
        client.send("Hi", to=TO)


@pytest.mark.parametrize(
    "url", ["vonage://canary-key:canary-secret@?nonsense=1", "vonage://canary-secret", "canary-secret", "voyage://a:b@"]
)
def test_wrong_url_is_not_repeated(url):
    """It holds the secret."""
    with pytest.raises(ValueError) as raised:
        Client(url)

    assert "canary-secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_nothing_tells_a_secret(caplog):
    """Neither repr, error nor log."""
    caplog.set_level(logging.DEBUG)
    client = Client(nobody_there(), frm=FRM, retries=1)
    with client, pytest.raises(paceline.Unavailable) as raised:
        client.send("canary-text", to=TO)

    shown = repr(client) + repr(client.provider) + str(raised.value) + repr(raised.value) + caplog.text
    assert [word for word in ("canary-secret", "canary-text", TO[1:]) if word in shown] == []


# One pool, many threads, and the end


def test_one_client_serves_many_threads(carrier):
    """Eight threads, one pool, each text once."""
    with Client(url_of(carrier), frm=FRM, connections=3) as client, ThreadPoolExecutor(8) as pool:
        sents = list(pool.map(lambda n: client.send(f"Hi {n}", to=TO), range(40)))

    assert sorted(a.reference for a in carrier.accepts()) == sorted(sent.reference for sent in sents)


def test_client_without_with_is_closed_by_close(carrier):
    """Its thread ends; afterwards it sends nothing, and says so without waiting."""
    threads = threading.active_count()
    client = Client(url_of(carrier), frm=FRM)
    client.send("Hi", to=TO)
    client.close()
    client.close()

    with pytest.raises(paceline.Unavailable):
        client.send("Hi", to=TO)
    assert threading.active_count() == threads


def test_closing_frees_who_waits_for_another_try():
    """A send that is waiting out its back-off in another thread ends with the client: it did not leave."""
    client = Client(nobody_there(), frm=FRM, retries=10**9, retry_seconds=1000)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.send, "Hi", to=TO)
        time.sleep(0.05)
        client.close()

        with pytest.raises(paceline.Unavailable):
            waiting.result(timeout=10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_client_works_in_a_forked_process(carrier):
    """Web servers and task queues fork: the child gets a loop and a pool of its own."""
    code = (
        "import os, sys, paceline\n"
        f"client = paceline.Client({url_of(carrier)!r}, frm={FRM!r})\n"
        f"client.send('parent', to={TO!r})\n"
        "child = os.fork()\n"
        f"client.send('child' if child == 0 else 'parent again', to={TO!r})\n"
        "client.close()\n"
        "if child == 0: os._exit(0)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert sorted(accept.text for accept in carrier.accepts()) == ["child", "parent", "parent again"]


def test_module_functions_keep_their_client(monkeypatch, outbox):
    """One line, and no second pool for the second text."""
    monkeypatch.setenv("PACELINE_PROVIDER", "memory:")
    monkeypatch.setenv("PACELINE_FROM", FRM)
    paceline.send("Hi", FRM, TO)
    threads = threading.active_count()
    paceline.send("Hi", to=TO)
    results = paceline.send_many([TO], "Hi")

    assert len(outbox) == 3
    assert results[0].accepted
    assert threading.active_count() == threads


@pytest.mark.parametrize("way", ["paceline.send(", "paceline.Client(provider).send("])
def test_script_ends_by_itself(carrier, way):
    """Without close: a program that has sent its text is not held up, and says nothing at its end."""
    keyword = ", provider=provider" if way == "paceline.send(" else ""
    code = f"import paceline\nprovider = {url_of(carrier)!r}\nprint({way}'Hi', {FRM!r}, {TO!r}{keyword}).segments)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr) == ("1\n", "")
