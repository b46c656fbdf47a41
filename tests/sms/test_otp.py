"""One-time codes: guessing, replaying and pumping them must not work."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from paceline import InvalidNumber, otp
from paceline.sms.otp import MemoryStore, TooSoon, Verifier

NUMBER = "+12125550123"
OTHER = "+13105550199"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def verifier(clock):
    return Verifier(now=clock, resend_seconds=0, per_number=1000, per_block=1000)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


# Codes


def test_code_keeps_its_leading_zeros():
    """Every code has its length, and every digit comes first now and then."""
    codes = [otp.generate() for _ in range(2000)]

    assert {len(code) for code in codes} == {6}
    assert {code[0] for code in codes} == set("0123456789")
    assert len(set(codes)) > 1900


@pytest.mark.parametrize("length", [0, 3, 13, -1])
def test_code_of_another_length_is_an_error(length):
    """Three digits are guessed, thirteen are not typed."""
    with pytest.raises(ValueError):
        otp.generate(length)


def test_right_code_works_once(verifier):
    """The second time it is no code any more."""
    code = verifier.issue(NUMBER)

    assert verifier.check(NUMBER, code)
    assert not verifier.check(NUMBER, code)


def test_number_in_another_spelling_is_the_same_number(clock):
    """People type it twice, not twice alike; so with spaces in the code."""
    verifier = Verifier(now=clock, region="US")
    code = verifier.issue("(212) 555-0123")

    assert verifier.check(NUMBER, f" {code[:3]} {code[3:]} ")


def test_code_of_another_number_is_wrong(verifier):
    """Whoever has a code of his own has none of hers."""
    mine, hers = verifier.issue(NUMBER), verifier.issue(OTHER)
    if mine != hers:
        assert not verifier.check(OTHER, mine)
    assert verifier.check(OTHER, hers)


def test_new_code_voids_the_one_before(verifier):
    """One at a time."""
    first, second = verifier.issue(NUMBER), verifier.issue(NUMBER)

    assert not verifier.check(NUMBER, first) or first == second
    assert verifier.check(NUMBER, second)


def test_code_expires(verifier, clock):
    """Right up to the last moment, then not."""
    code = verifier.issue(NUMBER)
    clock.now += 599.9
    assert verifier.check(NUMBER, wrong(code)).attempts_left == 4
    clock.now += 0.1

    assert not verifier.check(NUMBER, code)


def test_wrong_codes_use_the_attempts_up(verifier):
    """Five; then the right one is too late, and it says that only a new one helps."""
    code = verifier.issue(NUMBER)
    left = [verifier.check(NUMBER, wrong(code)).attempts_left for _ in range(5)]

    assert left == [4, 3, 2, 1, 0]
    assert verifier.check(NUMBER, code) == otp.Check(False, 0)


@pytest.mark.parametrize("code", ["", "      ", "12345", "1234567", "１２３４５６", "abcdef", "\ud800", "0" * 10_000])
def test_what_is_no_code_is_wrong(verifier, code):
    """Whatever somebody types: no exception."""
    verifier.issue(NUMBER)

    assert not verifier.check(NUMBER, code)


def test_number_that_is_none_is_an_error(verifier):
    """As everywhere in this library."""
    with pytest.raises(InvalidNumber):
        verifier.issue("12345")
    with pytest.raises(InvalidNumber):
        verifier.check("12345", "000000")


# Limits


def test_resend_has_to_wait(clock):
    """The error says how long; the code before is still good."""
    verifier = Verifier(now=clock)
    code = verifier.issue(NUMBER)
    clock.now += 10
    with pytest.raises(TooSoon) as raised:
        verifier.issue(NUMBER)

    assert (raised.value.limit, raised.value.retry_after) == ("resend", 20)
    assert NUMBER not in str(raised.value)
    assert verifier.check(NUMBER, code)
    clock.now += 20
    assert verifier.issue(NUMBER)


def test_number_gets_so_many_codes_an_hour(clock):
    """In any hour, not by the clock on the wall."""
    verifier = Verifier(now=clock, per_number=3)
    for _ in range(3):
        verifier.issue(NUMBER)
        clock.now += 600
    with pytest.raises(TooSoon) as raised:
        verifier.issue(NUMBER)

    assert (raised.value.limit, raised.value.retry_after) == ("number", 1800)
    clock.now += 1800
    assert verifier.issue(NUMBER)


def test_block_of_numbers_gets_so_many_codes_an_hour(clock):
    """Pumping: one attacker, a thousand neighbouring numbers. Other blocks are not disturbed."""
    verifier = Verifier(now=clock, per_block=10)
    for line in range(10):
        verifier.issue(f"+1212555010{line}")
    with pytest.raises(TooSoon) as raised:
        verifier.issue("+12125550110")

    assert (raised.value.limit, raised.value.retry_after) == ("block", 3600)
    assert verifier.issue(OTHER)


# Secrets and stores


def test_store_of_its_own_needs_a_secret():
    """A hash of six digits without a key is the six digits."""
    with pytest.raises(ValueError, match="secret"):
        Verifier(MemoryStore())


@pytest.mark.parametrize("limits", [{"attempts": 0}, {"per_number": 0}, {"per_block": 0}, {"ttl_seconds": 0}])
def test_limit_of_nothing_is_an_error(limits):
    """It would let nobody in."""
    with pytest.raises(ValueError):
        Verifier(**limits)


def test_store_sees_neither_number_nor_code(clock):
    """Keys and digests are keyed hashes, different under another secret."""
    seen: list[list[object]] = []

    class Watching(MemoryStore):
        def count(self, *args):
            seen[-1].extend(args)
            return super().count(*args)

        def put(self, *args):
            seen[-1].extend(args)
            return super().put(*args)

    codes = []
    for secret in ("one", b"two"):
        seen.append([])
        codes.append(Verifier(Watching(), secret=secret, now=clock).issue(NUMBER))

    shown = repr(seen)
    assert [word for word in (NUMBER[1:], NUMBER[1:-4], *codes) if f"'{word}'" in shown or NUMBER[1:] in shown] == []
    keys = [{value for value in each if isinstance(value, (str, bytes))} for each in seen]
    assert keys[0].isdisjoint(keys[1])


def test_two_processes_may_share_a_store(clock):
    """Issued by one, checked by the other, with the same secret."""
    store = MemoryStore()
    code = Verifier(store, secret="same", now=clock).issue(NUMBER)

    assert not Verifier(store, secret="another", now=clock).check(NUMBER, code)
    assert Verifier(store, secret="same", now=clock).check(NUMBER, code)


def test_memory_does_not_grow_with_every_number(clock):
    """What has expired is forgotten now and then."""
    store = MemoryStore()
    verifier = Verifier(store, secret="s", now=clock, per_block=10_000)
    areas = (206, 212, 303, 310, 312, 404, 415, 512, 617, 718)
    for n in range(1000):
        verifier.issue(f"+1{areas[n // 100]}5550{100 + n % 100}")
        clock.now += 60

    assert len(store._codes) < 400
    assert len(store._events) < 1000


# At once


def at_once(work, count: int = 16) -> Counter:
    """What `count` threads answer that begin at the same moment."""
    barrier, answers, lock = threading.Barrier(count), Counter(), threading.Lock()

    def run():
        barrier.wait()
        answer = work()
        with lock:
            answers[answer] += 1

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_one_code_opens_one_door(clock):
    """Sixteen threads with the right code: one gets in."""
    verifier = Verifier(now=clock, attempts=100, resend_seconds=0, per_number=1000, per_block=1000)
    for _ in range(30):
        code = verifier.issue(NUMBER)

        assert at_once(lambda code=code: bool(verifier.check(NUMBER, code)))[True] == 1


def test_guessing_in_parallel_gives_no_more_attempts(clock):
    """Sixteen guesses at once: five were compared."""
    verifier = Verifier(now=clock)
    code = verifier.issue(NUMBER)

    left = at_once(lambda: verifier.check(NUMBER, wrong(code)).attempts_left)

    assert left == {4: 1, 3: 1, 2: 1, 1: 1, 0: 12}


def test_asking_in_parallel_gives_one_code(clock):
    """Sixteen clicks on “send again”: one text."""
    verifier = Verifier(now=clock)

    def issue() -> bool:
        try:
            return bool(verifier.issue(NUMBER))
        except TooSoon:
            return False

    assert at_once(issue) == {True: 1, False: 15}
