"""The draws: the same for the same seed and reference, as often as their shares say, and refused when impossible."""

import pytest

from paceline.sandbox import flags
from paceline.sandbox.__main__ import parser
from paceline.sandbox.behaviour import FAULTS, Answer, Behaviour, Ending
from paceline.sandbox.carrier import Wiring
from paceline.sandbox.wires.vonage import Vonage

REFERENCES = [f"{n:032x}" for n in range(4000)]
NUMBERS = [f"+1{200 + n // 100}55501{n % 100:02}" for n in range(4000)]

BUSY = {
    "throttle": 0.06, "reset": 0.04, "error": 0.03, "accept_reset": 0.06, "accept_hang": 0.04,
    "accept_error": 0.04, "latency": 0.05, "undelivered": 0.1, "opted_out": 0.02, "early": 0.1, "late": 0.1,
    "duplicated": 0.2, "reordered": 0.2, "missing": 0.05, "forged": 0.05, "replies": 0.3, "stops": 0.05,
    "refused": 0.02,
}  # fmt: skip

SETTINGS = (Wiring, Vonage, Behaviour)


def everything(behaviour: Behaviour) -> list[object]:
    return [
        (
            behaviour.answer(reference, 0),
            behaviour.answer_delay(reference, 0),
            behaviour.plan(reference, number),
            behaviour.reply(reference, number),
            behaviour.refuses(number),
        )
        for reference, number in zip(REFERENCES[:500], NUMBERS, strict=False)
    ]


def test_same_seed() -> None:
    """Two runs with one seed go the same way, message by message; another seed goes another way."""
    first = everything(Behaviour(seed=7, **BUSY))

    assert first == everything(Behaviour(seed=7, **BUSY))
    assert first != everything(Behaviour(seed=8, **BUSY))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_happens_as_often_as_its_share(fault: Answer) -> None:
    """A share of a tenth strikes about one request in ten, and no other fault strikes."""
    behaviour = Behaviour(seed=1, **{fault.value: 0.1})

    answers = [behaviour.answer(reference, 0) for reference in REFERENCES]

    assert 320 < answers.count(fault) < 480
    assert answers.count(fault) + answers.count(Answer.OK) == len(answers)


def test_a_retry_draws_again() -> None:
    """What was throttled once is not throttled for ever."""
    behaviour = Behaviour(throttle=0.5)
    throttled = [r for r in REFERENCES if behaviour.answer(r, 0) is Answer.THROTTLE]

    again = [behaviour.answer(reference, 1) for reference in throttled]

    assert 0.4 < again.count(Answer.OK) / len(again) < 0.6


def test_delays_have_the_mean_that_was_asked_for() -> None:
    """Latencies and report delays spread around their mean, between the least and the most."""
    behaviour = Behaviour(latency=0.2, latency_min=0.05, latency_max=0.6, report_delay=2.0)

    latencies = [behaviour.answer_delay(reference, 0) for reference in REFERENCES]
    plans = [behaviour.plan(reference, NUMBERS[0]) for reference in REFERENCES]

    assert min(latencies) >= 0.05
    assert max(latencies) == 0.6
    assert 0.18 < sum(latencies) / len(latencies) < 0.21
    assert 1.9 < sum(plan.final for plan in plans) / len(plans) < 2.1
    assert all(0 <= plan.submitted <= plan.final <= 10 for plan in plans)


def test_who_says_stop_is_known_beforehand() -> None:
    """The share of people holds, a listed number always does, and it hangs on the number alone."""
    behaviour = Behaviour(stops=0.05, stop_numbers=("+12125550100",))
    stopping = [number for number in NUMBERS if behaviour.says_stop(number)]

    replies = {behaviour.reply(reference, stopping[0]).text.strip(".").upper() for reference in REFERENCES[:50]}

    assert 140 < len(stopping) < 260
    assert behaviour.says_stop("+12125550100")
    assert replies == {"STOP"}


def test_nobody_answers_what_they_did_not_get() -> None:
    """A reply, STOP included, comes only to a delivered message."""
    behaviour = Behaviour(undelivered=0.5, replies=1.0)

    for reference, number in zip(REFERENCES, NUMBERS, strict=True):
        delivered = behaviour.ending(reference, number) is Ending.DELIVERED
        assert bool(behaviour.reply(reference, number)) == delivered


@pytest.mark.parametrize(
    "wrong",
    [{"throttle": 1.2}, {"replies": -0.1}, {"reset": 0.6, "accept_hang": 0.6}, {"report_delay": -1.0}, {"mps": -1.0}],
)
def test_impossible_settings(wrong: dict[str, float]) -> None:
    """Shares outside 0 to 1, faults that add up to more than all, and negative times are refused by name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Behaviour(**wrong)


def test_every_setting_is_a_flag() -> None:
    """Each field can be given on the command line, lists several times, and none twice under one name."""
    line = "--port 8088 --throttle 0.25 --stop-number +12125550100 --stop-number +12125550101 --no-lookup --seed 9"
    values = vars(
        parser().parse_args([*line.split(), "--unauthorized-after", "0", "--status-url", "http://127.0.0.1/s"])
    )

    wiring, _, behaviour = (flags.build(each, values) for each in SETTINGS)
    options = [flag.option for each in SETTINGS for flag in flags.of(each)]

    assert (wiring.port, wiring.status_url) == (8088, "http://127.0.0.1/s")
    assert behaviour == Behaviour(
        seed=9, throttle=0.25, stop_numbers=("+12125550100", "+12125550101"), lookup=False, unauthorized_after=0
    )
    assert len(options) == len(set(options))
