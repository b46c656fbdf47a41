"""Real processes under kills: a short run on each database; and that the verdict finds what it is to find."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.ledger import Accept
from paceline.sms.status import Status

from ..conftest import need
from .chaos import place, plan
from .chaos.verdict import Claim, Facts, Pause, Rate, judge, of_campaign

NOON = 1_795_176_000.0
ANNA, BEN = "+12065550100", "+12065550101"
SENDER = "+12025550100"


def facts(**changes: Any) -> Facts:
    """Anna has had her text, and everybody says so."""
    taken = Accept(NOON, SENDER, ANNA, "a")
    given = {
        "recipients": [ANNA],
        "claims": [Claim(ANNA, "a", Status.DELIVERED, 1)],
        "accepts": [taken],
        "wire": [taken],
        "rates": [Rate(SENDER, 3), Rate("", 40)],
        "stops": {},
        "pauses": [],
        "behaviour": Behaviour(),
    }
    return Facts(**given | changes)


def written(*moments: float) -> list[Accept]:
    return [Accept(NOON + moment, SENDER, "", "a") for moment in moments]


# --- the verdict finds it -------------------------------------------------------------------------------------


def test_a_run_in_which_everybody_tells_the_truth_is_clean() -> None:
    """No count, no line."""
    verdict = judge(facts())

    assert not verdict.broken and not verdict.lines


def test_a_number_that_was_accepted_twice() -> None:
    """By the carrier's log alone, whatever the references are."""
    twice = [Accept(NOON, SENDER, ANNA, "a"), Accept(NOON + 9, SENDER, ANNA, "b")]

    assert judge(facts(accepts=twice)).duplicates == 1


@pytest.mark.parametrize(
    ("status", "is_accepted", "broken"),
    [
        (Status.HELD, False, "lost"),
        (Status.QUEUED, False, "lost"),
        (Status.LEASED, False, "lost"),
        (Status.SUBMITTING, True, "lost"),
        (Status.SUPPRESSED, False, ""),
        (Status.CANCELLED, False, ""),
        (Status.REFUSED, False, ""),
        (Status.ACCEPTED, True, ""),
        (Status.ACCEPTED, False, "phantom"),
        (Status.DELIVERED, False, "phantom"),
        (Status.SUPPRESSED, True, "phantom"),
        (Status.REFUSED, True, "phantom"),  # the carrier has delivered it: somebody believed a forged report
        (Status.UNCERTAIN, True, "uncertain_left"),
        (Status.UNCERTAIN, False, "uncertain_left"),
    ],
)
def test_what_we_say_is_held_against_what_the_carrier_has(status: Status, is_accepted: bool, broken: str) -> None:
    """Both ways: nobody is said to have a text that never left, or not to have one that did; nobody is forgotten."""
    log = [Accept(NOON, SENDER, ANNA, "a")] if is_accepted else []

    verdict = judge(facts(claims=[Claim(ANNA, "a", status, 1)], accepts=log, wire=[]))

    assert {"lost": verdict.lost, "phantom": verdict.phantom, "uncertain_left": verdict.uncertain_left} == {
        "lost": 0,
        "phantom": 0,
        "uncertain_left": 0,
    } | ({broken: 1} if broken else {})


def test_a_recipient_without_a_row_is_lost() -> None:
    """A fan-out that forgets somebody leaves no state that could lie."""
    assert judge(facts(recipients=[ANNA, BEN])).lost == 1


@pytest.mark.parametrize(("reported", "left"), [(True, 1), (False, 0)])
def test_without_a_look_up_an_uncertain_message_may_stay_when_its_report_never_came(reported: bool, left: int) -> None:
    """The report would have settled it; where the carrier dropped it, uncertain is the truth."""
    uncertain = [Claim(ANNA, "a", Status.UNCERTAIN, 1)]

    verdict = judge(facts(claims=uncertain, look_up=False, unreported=frozenset([] if reported else ["a"])))

    assert (verdict.uncertain_left, verdict.uncertain) == (left, 1)


@pytest.mark.parametrize(
    ("moments", "windows"),
    [
        ((0.0, 0.3, 0.6, 1.0), 0),  # a second is half open
        ((0.0, 0.3, 0.6, 0.99), 1),
        ((0.0, 0.1, 0.2, 0.3, 0.4), 2),
    ],
)
def test_every_sliding_second_of_the_wire_is_counted(moments: tuple[float, ...], windows: int) -> None:
    """For the sender here: three a second."""
    assert judge(facts(wire=written(*moments))).over_limit == windows


def test_a_campaign_has_a_limit_of_its_own() -> None:
    """Whoever its senders are."""
    two = [Accept(NOON, SENDER, "", "a"), Accept(NOON + 0.5, "+12025550101", "", "a")]

    assert judge(facts(rates=[Rate(of_campaign(1), 1)], wire=two)).over_limit == 1
    assert judge(facts(rates=[Rate(of_campaign(2), 1)], wire=two)).over_limit == 0


def test_a_changed_rate_counts_from_its_commit_and_the_old_one_a_little_longer() -> None:
    """Slots that were leased before the change may still be used, and no others."""
    rates = [Rate(SENDER, 5, ends=NOON + 0.78), Rate(SENDER, 2, begins=NOON)]

    soon = judge(facts(rates=rates, wire=written(0.1, 0.2, 0.3)))
    later = judge(facts(rates=rates, wire=written(1.1, 1.2, 1.3)))

    assert (soon.over_limit, later.over_limit) == (0, 1)


@pytest.mark.parametrize(("seconds", "broken"), [(0.2, 0), (0.3, 1)])
def test_a_submit_that_begins_after_a_stop_or_a_pause(seconds: float, broken: int) -> None:
    """A quarter of a second is allowed from the commit on."""
    stopped = judge(facts(stops={ANNA: NOON - seconds}))
    paused = judge(facts(pauses=[Pause(1, NOON - seconds, NOON + 5)]))
    other = judge(facts(pauses=[Pause(2, NOON - seconds, NOON + 5)]))

    assert (stopped.after_stop, paused.after_stop, other.after_stop) == (broken, broken, 0)


# --- the plan -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_a_seed_is_a_plan(db: str) -> None:
    """The same kills at the same ticks; and even a short run has a bit of everything."""
    once, again = (plan.draw(random.Random(7), 30, db) for _ in range(2))
    other = plan.draw(random.Random(8), 30, db)

    done = {action for actions in once for action in actions}
    assert once == again != other
    assert done >= {"kill worker", "stop", "freeze", "stall", "pause", "rate", "launch", "relaunch", "hog"}
    assert done >= ({"restart", "cut"} if db == "postgres" else {"full"})


# --- real processes -------------------------------------------------------------------------------------------


def chaos(root: Path, *options: str) -> dict[str, Any]:
    """A run's result; its report is what a failing test shows."""
    command = [sys.executable, "-m", "tests.rig.chaos", "--recipients", "300", "--kills", "30", "--json", *options]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, timeout=800)
    print(done.stdout)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == int(any(result[promise] for promise in PROMISES))
    return result


PROMISES = ("duplicates", "lost", "phantom", "over_limit", "after_stop", "uncertain_left")


def there(db: str) -> bool:
    try:
        return db == "sqlite" or bool(place.binaries())
    except FileNotFoundError:
        return False


@pytest.mark.rig
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("db", "carrier"), [("sqlite", "look-up"), ("postgres", "look-up"), ("sqlite", "echo only")])
def test_processes_die_and_every_promise_is_kept(root: Path, db: str, carrier: str) -> None:
    """Nobody twice, nobody lost, no phantom, no limit exceeded, STOP and pause obeyed, nothing left uncertain.

    With echo only, what is left uncertain is what the carrier never took, or never reported.
    """
    need(there(db), "PostgreSQL's server")

    result = chaos(root, "--db", db, "--seed", "1", *(["--echo-only"] if carrier == "echo only" else []))

    assert {promise: result[promise] for promise in PROMISES} == dict.fromkeys(PROMISES, 0)
    assert (result["kills"], result["recipients"]) == (30, 300)


@pytest.mark.rig
@pytest.mark.timeout(900)
def test_the_same_kills_under_workers_that_send_and_then_acknowledge(root: Path) -> None:
    """The rig bites: what is delivered at least once is delivered twice."""
    assert chaos(root, "--seed", "1", "--shape", "at-least-once")["duplicates"] > 0
