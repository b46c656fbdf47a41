"""One text to many: who got what, from whom, at which pace; against the simulated carrier."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter

import pytest

import paceline
from paceline import AsyncClient, Client, Outcome, Progress
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sandbox.ledger import busiest_window

from .test_client import FRM, TO, carrier, nobody_there, outbox, quick_back_off, url_of

__all__ = ["carrier", "outbox", "quick_back_off"]

SENDERS = [f"+1202555010{n}" for n in range(4)]


AREAS = (206, 212, 303, 310, 312, 404, 415, 512, 617, 718, 201, 202, 203, 205, 207, 208, 209, 210, 213, 214, 215)
AREAS += (216, 217, 218, 219, 224, 225, 228, 229, 231)


def people(count: int = 100) -> list[str]:
    return [f"+1{AREAS[n // 100]}5550{100 + n % 100}" for n in range(count)]


def statuses(results) -> Counter:
    return Counter(result.status for result in results)


# Rows and their results


def test_every_row_has_its_result_in_order(carrier):
    """Accepted with the carrier's id, refused with its reason, invalid with ours, duplicate with the first row."""
    rows = [
        {"name": "Ada", "number": "+12125550100"},
        {"name": "Grace", "to": "+12125550101"},
        {"name": "Nobody", "phone": "12345"},
        {"name": "Ada again", "number": "+1 212 555 0100"},
        {"name": "", "number": "+12125550102"},
        {"name": "No number"},
        "+12125550103",
        None,
    ]
    carrier.change(refused_numbers=("+12125550101",))
    with Client(url_of(carrier), frm=FRM) as client:
        results = client.send_many(rows, "Hi {{ name }}")

    assert [result.status.value for result in results] == [
        *("accepted", "refused", "invalid", "duplicate", "invalid", "invalid", "invalid", "invalid")
    ]
    assert [result.row for result in results] == list(range(8))
    (accept,) = carrier.accepts()
    first = results[0]
    assert (first.provider_id, first.reference, first.number) == (accept.provider_id, accept.reference, accept.number)
    assert (first.segments, first.sender, first.error, accept.text) == (1, FRM, None, "Hi Ada")
    assert isinstance(results[1].error, paceline.Refused)
    assert isinstance(results[2].error, paceline.InvalidNumber)
    assert results[3].duplicate_of == 0
    assert isinstance(results[4].error, paceline.TemplateError)
    assert not any(result.retryable for result in results)


def test_fields_that_are_no_text_are_written_as_text(outbox):
    """A row from a database has integers and None in it."""
    with Client("memory:", frm=FRM) as client:
        client.send_many(
            [{"number": TO, "table": 7, "name": None}], 'Hi {{ name|default("there") }}, table {{ table }}'
        )

    assert outbox[0]["text"] == "Hi there, table 7"


def test_rows_are_read_as_they_are_needed(outbox):
    """A generator of half a million rows is not held in memory first: the first texts leave before the last is read."""
    read_when_first_left = []
    read = 0

    def rows():
        nonlocal read
        for number in people(3000):
            read += 1
            yield number

    def first(result):
        if result.accepted and not read_when_first_left:
            read_when_first_left.append(read)

    with Client("memory:", frm=FRM) as client:
        results = client.send_many(rows(), "Hi", on_result=first)

    assert statuses(results) == {Outcome.ACCEPTED: 3000}
    assert read_when_first_left[0] < read == 3000


def test_rows_and_callbacks_stay_in_the_calling_thread(outbox):
    """They may use what belongs to it, such as a database connection."""
    seen = set()

    def rows():
        for number in people(10):
            seen.add(threading.get_ident())
            yield number

    def note(_):
        seen.add(threading.get_ident())

    with Client("memory:", frm=FRM) as client:
        client.send_many(rows(), "Hi", progress=note, on_result=note)

    assert seen == {threading.get_ident()}


def test_async_rows_will_do(outbox):
    """From an asynchronous database driver, say."""

    async def rows():
        for number in people(10):
            await asyncio.sleep(0)
            yield number

    async def main():
        async with AsyncClient("memory:", frm=FRM) as client:
            return await client.send_many(rows(), "Hi")

    assert statuses(asyncio.run(main())) == {Outcome.ACCEPTED: 10}


@pytest.mark.parametrize("where", ["rows", "progress", "on_result"])
def test_error_in_the_callers_code_comes_out(outbox, where):
    """And the client still works."""

    def rows():
        yield from people(10)
        if where == "rows":
            raise RuntimeError("mine")

    def fail(_):
        raise RuntimeError("mine")

    callbacks = {} if where == "rows" else {where: fail}
    with Client("memory:", frm=FRM) as client:
        with pytest.raises(RuntimeError, match="mine"):
            client.send_many(rows(), "Hi", **callbacks)
        assert client.send("Hi", to=TO)


@pytest.mark.parametrize("where", ["rows", "progress", "on_result"])
def test_error_in_the_callers_code_comes_out_of_the_async_client_too(outbox, where):
    """The same, where rows and callbacks run on the loop."""

    def rows():
        yield from people(10)
        if where == "rows":
            raise RuntimeError("mine")

    def fail(_):
        raise RuntimeError("mine")

    async def main():
        async with AsyncClient("memory:", frm=FRM) as client:
            with pytest.raises(RuntimeError, match="mine"):
                await client.send_many(rows(), "Hi", **({} if where == "rows" else {where: fail}))
            return await client.send("Hi", to=TO)

    assert asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"text": "Hi {{ name"}, paceline.TemplateError),
        ({"text": " "}, ValueError),
        ({"rate": 0}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"concurrency": -1}, ValueError),
        ({"senders": [FRM, FRM]}, ValueError),
        ({"senders": FRM}, ValueError),
        ({"senders": [FRM], "frm": FRM}, ValueError),
        ({"frm": ""}, ValueError),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(outbox, options, error):
    """By an exception; only what concerns a row is a result."""
    with Client("memory:", frm=FRM) as client, pytest.raises(error):
        client.send_many(people(3), **({"text": "Hi"} | options))

    assert outbox == []


# Senders


def test_sticky_number_keeps_its_sender(outbox):
    """In any order, in any run; spread evenly; and one more sender moves only its share."""
    numbers = people(1000)
    with Client("memory:") as client:
        first = {r.number: r.sender for r in client.send_many(numbers, "Hi", senders=SENDERS)}
        again = {r.number: r.sender for r in client.send_many(reversed(numbers), "Yo", senders=SENDERS[::-1])}
        more = {r.number: r.sender for r in client.send_many(numbers, "Hi", senders=[*SENDERS, "+12025550104"])}

    assert first == again
    assert all(200 <= count <= 300 for count in Counter(first.values()).values())
    moved = {number for number in numbers if first[number] != more[number]}
    assert {more[number] for number in moved} == {"+12025550104"}
    assert 150 <= len(moved) <= 250


def test_senders_take_turns_when_not_sticky(outbox):
    """Evenly to the message."""
    with Client("memory:") as client:
        results = client.send_many(people(10), "Hi", senders=SENDERS, sticky=False)

    assert [result.sender for result in results] == [SENDERS[n % 4] for n in range(10)]


def test_removed_sender_sends_nothing(carrier):
    """What the list does not name does not send."""
    with Client(url_of(carrier), frm=FRM) as client:
        client.send_many(people(50), "Hi", senders=SENDERS[:2])

    assert {accept.sender for accept in carrier.accepts()} == set(SENDERS[:2])


# Pace


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({"rate": 40}, 40),
        ({"rate": 20, "senders": SENDERS[:2], "sticky": False}, 40),
        ({"account_rate": 50, "senders": SENDERS}, 50),
    ],
    ids=["one sender", "two senders", "account"],
)
def test_no_sliding_second_holds_more_than_the_rate(carrier, capsys, options, limit):
    """By the record made just before each write; what it achieves is printed, since that is the machine's too."""
    written = []
    with Client(url_of(carrier), frm=FRM, on_write=lambda at, message: written.append((at, message.sender))) as client:
        results = client.send_many(people(80), "Hi", **options)

    moments = [at for at, _ in written]
    assert statuses(results) == {Outcome.ACCEPTED: 80}
    assert len(written) == 80
    assert busiest_window(moments, 1.0) <= limit
    if rate := options.get("rate"):
        for sender in {sender for _, sender in written}:
            assert busiest_window([at for at, by in written if by == sender], 1.0) <= rate
    with capsys.disabled():
        print(f" {79 / (moments[-1] - moments[0]) / limit:.1%} of {limit}/s", end="")


def test_missed_slot_is_void(carrier):
    """A machine that stalls between the slot and the write sends later, not closer together; and loses nobody."""
    written, stalls = [], iter([0.0, 0.06, 0.0, 0.3])
    provider = paceline.sms.providers.from_url(url_of(carrier))
    build = provider.build
    provider.build = lambda message: (time.sleep(next(stalls, 0.0)), build(message))[1]
    with Client(provider, frm=FRM, on_write=lambda at, message: written.append(at)) as client:
        results = client.send_many(people(40), "Hi", rate=50)

    assert statuses(results) == {Outcome.ACCEPTED: 40}
    assert len(written) == len(carrier.accepts()) == 40
    assert busiest_window(written, 0.1) <= 7  # five slots, and those at most 30 ms late


def test_batches_leave_one_after_the_other(carrier):
    """The first seed's loop, in its words: the delay begins when a batch's last text has left."""
    written = []
    with Client(url_of(carrier), frm=FRM, on_write=lambda at, message: written.append(at)) as client:
        results = client.send_many(people(7), "Hi", batch_size=3, batch_delay=0.2)

    assert statuses(results) == {Outcome.ACCEPTED: 7}
    assert written[3] - written[2] >= 0.2
    assert written[6] - written[5] >= 0.2


def test_batch_counts_whom_it_can_text(outbox):
    """Invalid and repeated rows do not make a batch smaller: two batches of two, one delay."""
    rows = ["nonsense", *people(2), people(1)[0], *people(4)]
    batches = []

    def note(result):
        if result.accepted:
            batches.append(result.number)

    with Client("memory:", frm=FRM) as client:
        started = time.monotonic()
        client.send_many(rows, "Hi", batch_size=2, batch_delay=1.0, on_result=note)

    assert sorted(batches[:2]) == sorted(people(2))
    assert 1.0 <= time.monotonic() - started < 2.0


# When the provider does not want to


def test_429_slows_the_sender_and_fails_nobody(tmp_path):
    """A carrier that takes forty a second: everybody is texted once, and most requests were not in vain."""
    carrier = Running(Behaviour(mps=40, retry_after=1), ledger=tmp_path / "ledger.jsonl")
    with carrier, Client(url_of(carrier), frm=FRM, connections=8) as client:
        results = client.send_many(people(60), "Hi")

    assert statuses(results) == {Outcome.ACCEPTED: 60}
    assert carrier.judge().duplicates == 0
    assert len(carrier.events("throttled")) < 60


def test_wrong_credentials_end_the_run(tmp_path):
    """After the first answers nothing more is asked; every remaining row says why it was not sent."""
    carrier = Running(Behaviour(unauthorized_after=20), ledger=tmp_path / "ledger.jsonl")
    with carrier, Client(url_of(carrier), frm=FRM, connections=4) as client:
        results = client.send_many(people(1000), "Hi")

    counts = statuses(results)
    assert counts[Outcome.ACCEPTED] == len(carrier.accepts())
    assert counts[Outcome.FAILED] == len(carrier.events("refused")) <= 4
    assert counts[Outcome.NOT_SENT] == 1000 - counts[Outcome.ACCEPTED] - counts[Outcome.FAILED]
    assert isinstance(results[-1].error, paceline.AccountProblem)
    assert results[-1].retryable


def test_barred_sender_ends_its_own_rows_only(outbox):
    """The others go on."""
    provider = paceline.sms.providers.from_url("memory:")
    build = provider.build

    def barred(message):
        if message.sender == SENDERS[0]:
            raise paceline.SenderProblem("This sender is not registered.")
        return build(message)

    provider.build = barred
    with Client(provider) as client:
        results = client.send_many(people(100), "Hi", senders=SENDERS)

    for result in results:
        assert result.accepted == (result.sender != SENDERS[0])
        assert result.accepted or (result.retryable and isinstance(result.error, paceline.SenderProblem))


def test_provider_that_is_away_ends_the_run():
    """Nothing left, so every row may be sent again; it took a few tries in all, not a few for each row."""
    with Client(nobody_there(), frm=FRM, retries=2, connections=5) as client:
        results = client.send_many(people(200), "Hi")

    assert set(statuses(results)) <= {Outcome.FAILED, Outcome.NOT_SENT}
    assert all(result.retryable and isinstance(result.error, paceline.Unavailable) for result in results)


def test_provider_that_comes_back_gets_everything(tmp_path):
    """Restarted in the middle of the run: nobody twice, and who is not accepted is uncertain."""
    seen = []

    def restart_once(result):
        seen.append(result)
        if len(seen) == 50:
            carrier.restart()

    carrier = Running(Behaviour(latency=0.01), ledger=tmp_path / "ledger.jsonl")
    with carrier, Client(url_of(carrier), frm=FRM, connections=8, retries=1000) as client:
        results = client.send_many(people(200), "Hi", on_result=restart_once)

    assert set(statuses(results)) <= {Outcome.ACCEPTED, Outcome.UNCERTAIN}
    assert carrier.judge().duplicates == 0
    assert {accept.number for accept in carrier.accepts()} >= {result.number for result in results if result.accepted}


def test_silent_provider_gets_one_at_a_time(tmp_path):
    """After three answers that nobody can name a lane asks singly: a dead provider makes few uncertain at once."""
    under_way, most = 0, []

    def wrote(at, message):
        nonlocal under_way
        under_way += 1
        most.append(under_way)

    def answered(result):
        nonlocal under_way
        under_way -= 1

    async def main(url):
        async with AsyncClient(url, frm=FRM, connections=8, on_write=wrote) as client:
            return await client.send_many(people(30), "Hi", on_result=answered)

    with Running(Behaviour(error=1.0), ledger=tmp_path / "ledger.jsonl") as carrier:
        results = asyncio.run(main(url_of(carrier)))

    assert statuses(results) == {Outcome.UNCERTAIN: 30}
    assert max(most) <= 8
    assert set(most[-10:]) == {1}


# Progress


def test_progress_counts_everything(carrier):
    """The last word is the whole."""
    told: list[Progress] = []
    carrier.change(refused_numbers=("+12065550100",))
    with Client(url_of(carrier), frm=FRM) as client:
        client.send_many([*people(20), "nonsense"], "Hi", progress=told.append, rate=100)

    last = told[-1]
    assert (last.done, last.total, last.accepted, last.failed, last.uncertain) == (21, 21, 19, 2, 0)
    assert last.eta_seconds == 0
    assert [each.done for each in told] == sorted(each.done for each in told)


def test_total_of_a_generator_is_not_known(outbox):
    """Then there is no time left to tell either."""
    told: list[Progress] = []
    with Client("memory:", frm=FRM) as client:
        client.send_many((number for number in people(5)), "Hi", progress=told.append)

    assert (told[-1].done, told[-1].total, told[-1].eta_seconds) == (5, None, None)


def test_two_runs_share_a_client(carrier):
    """From two threads: each returns its own rows."""
    results = {}
    with Client(url_of(carrier), frm=FRM, connections=4) as client:
        threads = [
            threading.Thread(target=lambda n=n: results.update({n: client.send_many(people(50), f"Run {n}")}))
            for n in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert statuses(results[0]) == statuses(results[1]) == {Outcome.ACCEPTED: 50}
    assert Counter(accept.text for accept in carrier.accepts()) == {"Run 0": 50, "Run 1": 50}


def test_closing_the_client_ends_its_runs():
    """A run in another thread returns: what was not sent says so."""
    client = Client(nobody_there(), frm=FRM, retries=10_000, retry_seconds=10_000)
    results = []
    thread = threading.Thread(target=lambda: results.extend(client.send_many(people(50), "Hi")))
    thread.start()
    time.sleep(0.1)
    client.close()
    thread.join(10)

    assert not thread.is_alive()
    assert set(statuses(results)) == {Outcome.NOT_SENT}
