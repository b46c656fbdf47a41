"""The pace that listens: how many texts may be released, and what comes of it on a simulated clock."""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline.project import rehearsal
from paceline.project.rehearsal import Scene
from paceline.sms import officehours, replypace
from paceline.sms.replypace import MINUTE, Lately, Seen, Team, bin_of, coarser, lately, learn, room

MONDAY_NINE = 1_764_579_600.0  # 2025-12-01T09:00Z
SCENE = Scene()


def replies(**at):
    counts = [0] * replypace.BINS
    for delay, count in at.items():
        counts[bin_of(float(delay[1:]))] = count
    return tuple(counts)


def test_a_full_desk_gets_nothing():
    """At the line, over it, and with a pipeline that fills what is left, nobody is released."""
    out = Seen(submitted=[(10.0, 5000)], guess=0.1)

    assert room(Team(60), 60, Seen()) == 0
    assert room(Team(60), 75, Seen()) == 0
    assert room(Team(60), 0, out) == 0
    assert room(Team(60), 0, Seen()) > 0


def test_the_first_tranche_bears_a_guess_that_is_a_third_of_the_truth():
    """Three times as many replies as guessed, all at once and nobody at the desk, stay within the line and a bit."""
    first = room(Team(60), 0, Seen(guess=0.04))

    assert first > 100
    assert first * 0.12 <= 1.6 * 60


def test_more_is_released_the_more_is_known():
    """The same rate, seen in two replies and in two hundred: doubt is what holds texts back."""
    few = Seen([(7200.0, 20)], replies(s60=1, s600=1), guess=0.1)
    many = Seen([(7200.0, 2000)], replies(s60=100, s600=100), guess=0.1)
    team = Team(60, 0.05, Lately(100, 2000.0, 0.1))

    assert room(team, 0, many) > 1.5 * room(team, 0, few)


def test_a_guess_is_outweighed_by_a_handful_of_replies():
    """A guess wrong by three in either direction: after 24 replies the rate is off by a seventh at most."""
    seen = Seen([(86400.0, 200)], replies(s200=12, s900=12))

    for guess in (0.04, 0.36):
        assert learn(replace(seen, guess=guess)).rate == pytest.approx(0.12, rel=0.14)


def test_texts_whose_reply_may_still_come_are_no_silence():
    """Young texts say little about the rate: it is not taken for low because nobody has answered within a minute."""
    young = learn(Seen([(30.0, 1000)], replies(s20=6), guess=0.12))
    old = learn(Seen([(86400.0, 1000)], replies(s20=6), guess=0.12))

    assert young.rate > 0.05
    assert old.rate < 0.01


def test_quick_and_slow_people_are_told_apart():
    """The delays are learned: the share that comes within two minutes follows the replies, not the first guess."""
    quick = learn(Seen([(86400.0, 1000)], replies(s20=100, s70=100)))
    slow = learn(Seen([(86400.0, 1000)], replies(s3000=100, s6000=100)))

    assert quick.within(120) > 0.9
    assert slow.within(120) < 0.05


def test_nobody_closes_at_night():
    """Before the team goes home less is released than in the morning: what comes at night waits until nine."""
    hours = officehours.parse("Mon-Fri 9-17")
    known = Seen([(86400.0, 2000)], replies(s60=60, s600=120, s3000=60))
    seen = Lately(200, 4000.0, 0.1)
    morning = Team(60, 0.05, seen, hours, MONDAY_NINE)
    evening = replace(morning, now=MONDAY_NINE + 8 * 3600 - 300)

    assert room(evening, 10, known) < 0.6 * room(morning, 10, known)


def test_the_replies_that_other_campaigns_will_bring_count():
    """Two campaigns share one team: what the other has out takes room."""
    team, mine = Team(60, 0.05), Seen(guess=0.1)
    other = Seen([(60.0, 200)], guess=0.1)

    assert room(team, 0, mine, [other]) < room(team, 0, mine)


@pytest.mark.parametrize("line", [1, 2, 3, 5])
def test_a_narrow_line_stops_nobody_for_good(line):
    """With a desk for one or two, texts go out a few at a time, and on again once nothing is likely to come."""
    fresh = Seen([(5.0, 40)], guess=0.1)
    old = Seen([(4 * 86400.0, 40)], replies(s60=4), guess=0.1)

    assert room(Team(line), 0, fresh, left=100) == 0
    assert 1 <= room(Team(line), 0, old, left=100) <= 40
    assert room(Team(line), line - 1, replace(old, submitted=[(4 * 86400.0, 40)]), left=100) >= 1


def test_never_more_than_what_is_left():
    """The last ones leave as they are."""
    assert room(Team(60), 0, Seen(), left=7) == 7


def test_closings_are_counted_against_the_time_in_which_there_was_work():
    """Ten closings, a minute of work each, and an hour of idling between: ten a ten minutes, and as even as a clock."""
    closed = [60.0 * i for i in range(1, 6)] + [3900.0 + 60.0 * i for i in range(1, 6)]
    seen = lately(closed, [(0.0, 300.0), (3900.0, 4200.0)])

    assert (seen.closed, seen.busy_seconds) == (10, 600.0)
    assert seen.unevenness < replypace.UNEVENNESS


def test_people_who_close_in_heaps_are_uneven():
    """Thirty at once after an hour is not one in two minutes: the doubt grows."""
    assert lately([3600.0] * 30, [(0.0, 3600.0)]).unevenness > 4


def test_buckets_grow_coarser_and_lose_nobody():
    """However many seconds a campaign takes, a few dozen buckets tell what is needed."""
    buckets = coarser([(float(at), 3) for at in range(0, 36_000, 10)], 36_000.0)

    assert len(buckets) < 80
    assert sum(count for _, count in buckets) == 3 * 3600


@settings(max_examples=60, deadline=None)
@given(
    line=st.integers(1, 200),
    backlog=st.integers(0, 220),
    submitted=st.lists(st.tuples(st.floats(0, 90_000), st.integers(1, 400)), max_size=12),
    answered=st.lists(st.integers(0, 30), min_size=replypace.BINS, max_size=replypace.BINS),
    guess=st.floats(0.001, 1),
    rate=st.one_of(st.none(), st.floats(0.001, 1)),
)
def test_the_answer_is_monotone_in_the_backlog(line, backlog, submitted, answered, guess, rate):
    """Whatever was seen: a number from 0 on, 0 at the line, and never more beside one more open conversation."""
    team, seen = Team(line, rate), Seen(submitted, tuple(answered), 0, guess)
    here, beside = room(team, backlog, seen), room(team, backlog + 1, seen)

    assert 0 <= beside <= here <= replypace.MOST
    assert backlog < line or here == 0


@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    rate=st.floats(0.01, 0.3),
    median=st.floats(2 * MINUTE, 15 * MINUTE),
    per_minute=st.floats(1, 6),
    line=st.integers(30, 120),
    off=st.floats(1 / 3, 3),
    seed=st.integers(0, 10**6),
)
def test_the_bound_holds_over_random_people(rate, median, per_minute, line, off, seed):
    """Any reply rate, delay, team, line and guess: the backlog stays under the line, or a tenth (and two) over it."""
    scene = Scene(
        contacts=1500,
        reply_rate=rate,
        median_seconds=median,
        closes=per_minute / 60,
        line=line,
        guess=min(1.0, rate * off),
        every=30.0,
    )
    run = rehearsal.with_valve(scene, seed)

    assert run.peak <= 1.1 * line + 2
    assert run.curve[-1][1] == scene.contacts


def test_without_the_valve_the_rehearsal_goes_over():
    """The rig bites: everything at once brings several times the line, and so does a constant rate that is too fast."""
    answers = rehearsal.people(SCENE, 0)

    assert rehearsal.at_constant_rate(SCENE, answers, 100).peak > 400
    assert rehearsal.at_constant_rate(SCENE, answers, 100 * MINUTE).peak > 2 * SCENE.line


def test_the_best_constant_rate_is_the_fastest_that_keeps_the_line():
    """A second faster and it would be over: by the same desk that judges the valve."""
    answers = rehearsal.people(SCENE, 3)
    best = rehearsal.best_constant(SCENE, answers)

    assert rehearsal.at_constant_rate(SCENE, answers, best).peak <= SCENE.line
    assert rehearsal.at_constant_rate(SCENE, answers, best - 1).peak > SCENE.line


def seeds(*, most=100):
    """All hundred on request, those of the main promises where everything is required, two otherwise."""
    if os.environ.get("PACELINE_SEEDS"):
        return range(100)
    return range(most if os.environ.get("PACELINE_REQUIRE") else 2)


PROMISED = {"as guessed", "a third of the truth guessed", "three times the truth guessed"}

SCENES = {
    "as guessed": SCENE,
    "half a percent answers": replace(SCENE, reply_rate=0.005, guess=0.005, line=8, closes=1 / (3 * MINUTE)),
    "two percent answer": replace(SCENE, reply_rate=0.02, guess=0.02, line=20, closes=1 / MINUTE),
    "thirty percent answer": replace(SCENE, contacts=2000, reply_rate=0.3, guess=0.3),
    "a burst": replace(SCENE, burst_at=60 * MINUTE, burst_share=0.1),
    "the staff goes home": replace(
        SCENE,
        contacts=2500,
        hours=officehours.parse("Mon-Fri 9-12, Mon-Fri 13-17"),
        begins=MONDAY_NINE + 6 * 3600,
        every=60,
    ),
    "an uneven team": replace(SCENE, uneven=True),
    "a third of the truth guessed": replace(SCENE, guess=0.04),
    "three times the truth guessed": replace(SCENE, guess=0.36),
}


@pytest.mark.parametrize("name", SCENES)
def test_the_line_holds(name, capsys):
    """In each scene the line holds in 99 of 100 seeds, with a wrong guess in 95 and never by more than a tenth."""
    scene = SCENES[name]
    runs = [rehearsal.with_valve(scene, seed) for seed in seeds(most=100 if name in PROMISED else 25)]
    over = [run.peak for run in runs if run.peak > scene.line]
    with capsys.disabled():
        ends = sorted(run.finish / MINUTE for run in runs)
        print(
            f"\n{name:32} over {len(over)}/{len(runs)}  highest {max(run.peak for run in runs)} of {scene.line}"
            f"  median end {ends[len(ends) // 2]:.0f} min"
        )

    guessed_wrong = scene.guess != scene.reply_rate
    assert len(over) <= len(runs) * (0.05 if guessed_wrong else 0.01)
    assert all(peak <= 1.1 * scene.line for peak in over)


def test_it_ends_sooner_than_the_best_constant_rate():
    """The last submit comes before that of the fastest constant rate that keeps the line, in 99 of 100 seeds."""
    told = [rehearsal.verdict(SCENE, seed) for seed in seeds()]
    later = [one for one in told if one["finish_seconds"] >= one["best_constant_seconds"]]

    assert len(later) <= len(told) // 100


def test_the_same_seed_is_the_same_day():
    """Everything is drawn from the seed: two runs are one."""
    scene = replace(SCENE, contacts=600)

    assert rehearsal.with_valve(scene, 5) == rehearsal.with_valve(scene, 5)
    assert rehearsal.people(scene, Random(1).randrange(9)) != rehearsal.people(scene, 77)
