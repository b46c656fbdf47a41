"""A process breaks at each named point of a message's way, in each manner, on each database: nobody gets it twice.

Nothing here is random: a point is met for the n-th time, and there the process dies, raises, or stands still for
longer than its leases while another one takes over. Then a healthy dispatcher sends what is left, and the reports
come. The verdict is the carrier's log, the wire log, and what our tables say beside them.
"""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from paceline.sandbox.behaviour import Behaviour

from ..installation import until
from .cases import DIRECT
from .scene import LEASE_SECONDS, PATIENCE_SECONDS, Rig, Verdict, in_parallel

pytestmark = pytest.mark.timeout(900)

TURN = {
    "after_claim": 1,
    "before_gate": 1,
    "after_gate": 2,
    "before_write": 2,
    "after_write": 2,
    "after_response": 2,
    "before_settle": 1,
    "after_settle": 1,
}
"""The dispatcher's points, and for the how-manyth time each is met there."""

STEPS: dict[str, list[list[Any]]] = {"exit": [["exit"]], "raise": [["raise"]], "stall": [["sleep", 1.5]]}

AT_ONCE = 8
DATABASES = ["sqlite", "postgres"]
QUICK = [("sqlite", "exit"), ("sqlite", "raise")]
MATRIX = [
    pytest.param(kind, manner, marks=[] if (kind, manner) in QUICK else pytest.mark.rig)
    for kind in DATABASES
    for manner in STEPS
]


def broken_dispatcher(rig: Rig, kind: str, point: str, manner: str, *mutants: str, **other: Any) -> Verdict:
    """The campaign with a dispatcher that breaks there, and a healthy one after or, with a stall, beside it."""
    with rig.scene(kind, mutants=list(mutants), **other) as scene:
        first = scene.start("dispatch", breaks=[[point, TURN[point], STEPS[manner]]], alone=False)
        until(lambda: scene.there(f"at {point}") or first.poll() is not None, PATIENCE_SECONDS)
        assert scene.there(f"at {point}"), first.said()
        if manner == "stall":
            second = scene.start("dispatch", alone=False)
            assert second.wait(PATIENCE_SECONDS) == 0, second.said()
        code = first.wait(PATIENCE_SECONDS)
        assert code == (137 if manner == "exit" else 0), first.said()
        excused = scene.submitting() if (point, manner) == ("after_gate", "raise") or manner == "exit" else set()
        return scene.finish(excused)


@pytest.mark.parametrize(("kind", "manner"), MATRIX)
def test_a_dispatcher_breaks_at_each_point(rig: Rig, kind: str, manner: str) -> None:
    """Once each, within the limits, and what became of it is known.

    Uncertain is only what was submitting when its process ended or forgot it, and what the carrier does not have.
    """
    rig.databases(kind)

    found = in_parallel(AT_ONCE, lambda point: broken_dispatcher(rig, kind, point, manner), list(TURN))

    assert problems_of(dict(zip(TURN, found, strict=True))) == {}


def problems_of(verdicts: dict[str, Verdict]) -> dict[str, list[str]]:
    for what, verdict in verdicts.items():
        print(f"{what}: {verdict.accepts.total()} accepted, {len(verdict.uncertain)} uncertain")
    return {what: verdict.problems for what, verdict in verdicts.items() if verdict.problems}


@pytest.mark.rig
@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("manner", ["exit", "raise"])
def test_a_program_breaks_at_each_point_of_its_own_text(rig: Rig, kind: str, manner: str) -> None:
    """`send_text` passes the same points; what it leaves behind, a dispatcher takes up, once."""
    rig.databases(kind)

    def broken_program(point: str) -> Verdict:
        with rig.scene(kind, people=2, direct=False) as scene:
            scene.wanted.append(DIRECT)
            program = scene.start("send_one", breaks=[[point, 1, STEPS[manner]]])
            code = program.wait(PATIENCE_SECONDS)
            assert scene.there(f"at {point}"), program.said()
            assert (code == 137) == (manner == "exit")
            return scene.finish(scene.submitting())

    points = [point for point in TURN if point != "after_claim"]
    found = in_parallel(AT_ONCE, broken_program, points)

    assert problems_of(dict(zip(points, found, strict=True))) == {}


@pytest.mark.rig
@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("manner", STEPS)
def test_the_webhook_process_breaks_between_the_commit_and_its_answer(rig: Rig, kind: str, manner: str) -> None:
    """The provider knocks again, and everything it says has one effect: a report, a reply."""
    behaviour = Behaviour(report_delay=0.05, replies=1.0, reply_delay=0.05)
    with rig.scene(kind, behaviour=behaviour, inbound=True) as scene:
        scene.web = scene.start("web", breaks=[["after_store", 3, STEPS[manner]]])
        scene.sent_by_a_healthy_one()
        until(lambda: scene.there("at after_store"), PATIENCE_SECONDS)
        if manner == "exit":
            assert scene.web.wait() == 137

        found = scene.finish()

        assert found.problems == []
        assert found.received == len(scene.carrier.events("reply")) == len(scene.wanted)
        assert found.events == 2 * len(scene.wanted) + found.received


# --- the rig bites --------------------------------------------------------------------------------------------


@pytest.mark.rig
@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("mutant", ["rescue_of_submitting", "submit_before_commit"])
def test_a_rescue_of_what_was_on_the_wire_is_found(rig: Rig, kind: str, mutant: str) -> None:
    """Sent again after a kill: somebody got it twice."""
    found = broken_dispatcher(rig, kind, "after_response", "exit", mutant)

    assert max(found.accepts.values()) > 1
    assert found.problems


@pytest.mark.rig
@pytest.mark.parametrize("kind", DATABASES)
def test_a_missing_look_at_the_clock_is_found(rig: Rig, kind: str) -> None:
    """A process that stood still writes in a slot that is long over."""
    found = broken_dispatcher(rig, kind, "after_gate", "stall", "no_late_check")

    assert found.late
    assert found.problems


@pytest.mark.rig
@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize(("mutants", "times"), [([], 1), (["no_fence"], 2)])
def test_who_comes_back_gives_back_nothing_that_another_has_on_the_wire(
    rig: Rig,
    kind: str,
    mutants: list[str],
    times: int,
) -> None:
    """Claimed by one that stops; its lease ends; submitted by another; the first wakes and misses its slot.

    Without the fence it puts the message back into the queue.
    """
    with rig.scene(kind, people=1, direct=False, mutants=mutants, lease=60.0) as scene:
        wakes = [["after_claim", 1, [["wait", "on the wire"]]], ["after_settle", 1, [["touch", "given back"]]]]
        first = scene.start("dispatch", breaks=wakes, alone=False)
        until(lambda: scene.there("at after_claim"), PATIENCE_SECONDS)
        scene.call("recover")
        answers = [["after_write", 1, [["touch", "on the wire"], ["wait", "given back"]]]]
        second = scene.start("dispatch", breaks=answers, alone=False)
        assert (first.wait(PATIENCE_SECONDS), second.wait(PATIENCE_SECONDS)) == (0, 0), first.said()

        found = scene.finish()

        assert list(found.accepts.values()) == [times]


# --- standing still -------------------------------------------------------------------------------------------


@pytest.mark.rig
@pytest.mark.parametrize("kind", DATABASES)
def test_processes_that_are_stopped_and_go_on_repeat_nothing(rig: Rig, kind: str) -> None:
    """Two dispatchers; one after the other stands still for longer than its leases, wherever it is at that moment."""
    behaviour = Behaviour(latency_min=0.2, report_delay=0.1)
    options = {"account_mps": 30.0, "sender_mps": 20.0}
    with rig.scene(kind, people=100, behaviour=behaviour, **options) as scene:
        pair = [scene.start("dispatch", alone=False) for _ in range(2)]
        for stops, goal in enumerate((5, 20, 35, 50, 65, 80)):
            one = pair[stops % 2]
            until(lambda: len(scene.carrier.accepts()) >= goal or one.poll() is not None, PATIENCE_SECONDS)
            one.send(signal.SIGSTOP)
            time.sleep(2 * LEASE_SECONDS)
            one.send(signal.SIGCONT)
        assert [each.wait(PATIENCE_SECONDS) for each in pair] == [0, 0], pair[0].said()

        found = scene.finish()

        assert found.problems == []
