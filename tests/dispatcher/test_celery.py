"""Several Celery workers: what dies, doubles or is lost between them costs nobody a text, and exceeds no limit."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from paceline.sandbox.behaviour import Behaviour

from ..conftest import need
from ..installation import until
from .cluster import Cluster

BROKERS = {"redis": "PACELINE_TEST_REDIS_URL", "rabbitmq": "PACELINE_TEST_RABBITMQ_URL"}
UP = 60  # seconds for processes to come up on a machine with much else to do

Make = Callable[..., Cluster]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes a cluster on a broker; without PostgreSQL or that broker the test is skipped."""
    with ExitStack() as made:

        def cluster(broker: str, behaviour: Behaviour | None = None) -> Cluster:
            database = os.environ.get("PACELINE_TEST_POSTGRES_URL", "")
            need(database, "PostgreSQL (PACELINE_TEST_POSTGRES_URL)")
            url = os.environ.get(BROKERS[broker], "")
            need(url, f"a broker ({BROKERS[broker]})")
            if broker == "redis":
                url = urlsplit(url)._replace(path="/15").geturl()  # emptied on the way: not where other tests work
            return made.enter_context(Cluster(tmp_path, database, url, behaviour).there())

        yield cluster


@pytest.mark.slow
def test_a_worker_killed_while_it_sends_is_replaced_by_the_others(make: Make) -> None:
    """kill -9 of the one that sends most: the other goes on; nobody twice, nobody lost, no limit exceeded over both."""
    cluster = make("redis", Behaviour(latency=0.02))
    cluster.campaign(160, mps=[12, 12])
    cluster.start("beat", "chores", "worker-1", "worker-2")
    until(cluster.written, UP)
    cluster.wake_up(3)  # one would be enough for this rate
    until(lambda: sum(map(bool, cluster.written().values())) == 2, UP)
    (found,) = (each for each in json.loads(cluster.run("doctor", "--json").stdout) if each["about"] == "workers")

    cluster.kill(cluster.busiest_worker())
    killed_at = time.time()
    until(cluster.is_done, 120)

    assert found["well"] and found["words"] == "answer"
    assert max(cluster.accepts().values()) == 1
    assert cluster.lost() == set()
    after = [line["at"] - killed_at for lines in cluster.written().values() for line in lines if line["at"] > killed_at]
    print(f"sent by each: {[len(lines) for lines in cluster.written().values()]}; silent for {min(after):.2f} s")
    busiest = cluster.busiest()
    assert busiest.pop("all") <= 24
    assert max(busiest.values()) <= 12


@pytest.mark.rig
@pytest.mark.timeout(400)
@pytest.mark.parametrize("broker", BROKERS)
def test_whatever_dies_or_doubles_nobody_is_texted_twice_or_lost(broker: str, make: Make) -> None:
    """Workers, chores and beat killed, the broker emptied, two beats, every wake-up doubled; by the carrier's log."""
    cluster = make(broker, Behaviour(latency=0.05))
    cluster.campaign(600, mps=[10, 10, 10])
    cluster.start("beat", "chores", "worker-1", "worker-2")

    def sent_more(than: int = 25) -> None:
        before = cluster.accepts().total()
        until(lambda: cluster.accepts().total() > before + than or cluster.is_done(), UP)

    sent_more()
    cluster.kill("worker-1")
    sent_more()
    cluster.start("worker-1", "beat-2")
    cluster.empty_the_broker()
    sent_more()
    cluster.kill("beat")
    cluster.kill("beat-2")
    cluster.wake_up(10)
    cluster.kill("worker-2")
    cluster.kill("worker-1")
    cluster.start("worker-1", "worker-2", "beat", "beat-2", concurrency=2)
    sent_more()
    cluster.kill("chores")
    cluster.empty_the_broker()
    cluster.start("chores")
    sent_more()
    cluster.wake_up(10)
    until(cluster.is_done, 200)

    assert max(cluster.accepts().values()) == 1
    assert cluster.lost() == set()
    busiest = cluster.busiest()
    assert busiest.pop("all") <= 30
    assert max(busiest.values()) <= 10
    print(f"{broker}: {len(cluster.written())} processes have sent; {dict(cluster.statuses())}")


@pytest.mark.rig
@pytest.mark.timeout(400)
@pytest.mark.parametrize("broker", BROKERS)
def test_a_worker_that_is_stopped_drains(broker: str, make: Make) -> None:
    """SIGTERM while texts are on the wire: their answers are written, the rest is queued, nothing is uncertain."""
    cluster = make(broker, Behaviour(latency_min=0.5))
    cluster.campaign(300, mps=[40])
    cluster.start("beat", "chores", "worker-1")
    until(lambda: cluster.accepts().total() > 30, UP)

    cluster.kill("beat")  # so that nothing begins anew
    code = cluster.drain("worker-1", 60)

    assert code == 0
    assert set(cluster.statuses()) <= {"held", "queued", "accepted"}
    assert cluster.statuses()["accepted"] == cluster.accepts().total() == sum(map(len, cluster.written().values()))
    assert not cluster.is_done(), "it was done before it was stopped"


@pytest.mark.rig
@pytest.mark.timeout(400)
def test_an_account_does_not_wait_for_the_shifts_of_others(make: Make) -> None:
    """One worker, busy for long with one account: a text of another account leaves all the same."""
    cluster = make("redis")
    cluster.second_account()
    cluster.campaign(400, mps=[5])
    cluster.start("beat", "chores", "worker-1")
    until(lambda: cluster.accepts().total() > 5, UP)

    cluster.queue_on_the_second("+17025550177")
    until(lambda: cluster.accepts()["+17025550177"] == 1, UP)

    assert not cluster.is_done()
