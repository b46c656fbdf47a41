"""Several Celery workers: what dies, doubles or is lost between them costs nobody a text, and exceeds no limit."""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from paceline.sandbox.behaviour import Behaviour
from paceline.sms import pacing

from ..conftest import need
from ..installation import until
from . import services
from .cluster import Cluster

BROKERS = {"redis": "PACELINE_TEST_REDIS_URL", "rabbitmq": "PACELINE_TEST_RABBITMQ_URL"}
LEASE_SECONDS = pacing.LOOKAHEAD_SECONDS + pacing.LATE_TOLERANCE_SECONDS  # of what is claimed and not yet on the wire
AWAY_SECONDS = 6.0
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


@pytest.fixture
def apart() -> Iterator[Path]:
    """A folder for services that run as other users, who may not look into a test's own."""
    with tempfile.TemporaryDirectory(prefix="paceline-apart-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.slow
def test_a_worker_killed_while_it_sends_is_replaced_by_the_others(make: Make) -> None:
    """kill -9 of the one that sends most: the other goes on; nobody twice, nobody lost, no limit exceeded over both."""
    cluster = make("redis", Behaviour(latency=0.02))
    cluster.campaign(480, mps=[12, 12])
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
    assert after, "all had left before the kill"
    print(f"sent by each: {[len(lines) for lines in cluster.written().values()]}; silent for {min(after):.2f} s")
    busiest = cluster.busiest()
    assert busiest.pop("all") <= 24
    assert max(busiest.values()) <= 12


@pytest.mark.parametrize(
    "broker", [pytest.param("redis", marks=pytest.mark.slow), pytest.param("rabbitmq", marks=pytest.mark.rig)]
)
def test_a_worker_killed_while_nobody_else_sends_is_replaced_soon(broker: str, make: Make) -> None:
    """kill -9 of the only one that sends: another, which waits for wake-ups, goes on within lease and two seconds."""
    cluster = make(broker, Behaviour(latency_min=0.3))  # so that the dead has some on the wire
    cluster.campaign(500, mps=[12, 12])
    cluster.start("beat", "chores", "worker-1")
    until(cluster.written, UP)
    cluster.start("worker-2")
    until(lambda: cluster.answering() == 3, UP)
    time.sleep(1.0)  # a wake-up more: it is of no use
    assert len(cluster.written()) == 1

    killed_at = time.time()
    cluster.kill("worker-1")
    until(lambda: cluster.silence(killed_at) < math.inf, UP)
    silence = cluster.silence(killed_at)
    until(cluster.is_done, 120)

    print(f"{broker}: silent for {silence:.2f} s")
    assert max(cluster.accepts().values()) == 1
    assert cluster.lost() == set()
    assert silence <= LEASE_SECONDS + 2.0
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
def test_a_broker_that_stops_and_comes_back(broker: str, tmp_path: Path, apart: Path) -> None:
    """Away for seconds, in which the only worker that sends is killed: when it is back, another goes on."""
    database = os.environ.get("PACELINE_TEST_POSTGRES_URL", "")
    need(database, "PostgreSQL (PACELINE_TEST_POSTGRES_URL)")
    with (
        services.BROKERS[broker](apart / broker) as service,
        Cluster(tmp_path, database, service.url, Behaviour(latency=0.05)).there() as cluster,
    ):
        cluster.campaign(700, mps=[12, 12])
        cluster.start("beat", "chores", "worker-1")
        until(lambda: cluster.accepts().total() > 10, UP)
        cluster.start("worker-2")
        until(lambda: cluster.answering() == 3, UP)

        service.stop()
        sent = cluster.accepts().total()
        until(lambda: cluster.accepts().total() > sent + 40, UP)  # who sends needs no broker
        cluster.kill("worker-1")
        killed_at = time.time()
        time.sleep(AWAY_SECONDS)
        left = cluster.statuses()
        service.start()
        until(cluster.is_done, 120)

        print(f"{broker}: silent for {cluster.silence(killed_at):.2f} s, away for {AWAY_SECONDS} of them")
        assert left["queued"] > 50, "nothing was left to be sent"
        assert max(cluster.accepts().values()) == 1
        assert cluster.lost() == set()
        busiest = cluster.busiest()
        assert busiest.pop("all") <= 24
        assert max(busiest.values()) <= 12


@pytest.mark.rig
@pytest.mark.timeout(400)
def test_a_database_that_crashes_and_comes_back(tmp_path: Path, apart: Path) -> None:
    """PostgreSQL stopped without a goodbye while two workers send, and started again: nobody twice, nobody lost."""
    broker = os.environ.get(BROKERS["redis"], "")
    need(broker, f"a broker ({BROKERS['redis']})")
    broker = urlsplit(broker)._replace(path="/15").geturl()
    with (
        services.postgres(apart / "postgres") as service,
        Cluster(tmp_path, service.url, broker, Behaviour(latency=0.05)).there() as cluster,
    ):
        cluster.campaign(400, mps=[15, 15])
        cluster.start("beat", "chores", "worker-1", "worker-2")
        until(cluster.written, UP)
        cluster.wake_up(3)
        until(lambda: cluster.accepts().total() > 40, UP)

        service.stop()
        stopped_at = time.time()
        time.sleep(AWAY_SECONDS)
        sent = cluster.accepts().total()
        service.start()
        until(lambda: cluster.accepts().total() > sent, UP)
        silence = cluster.silence(stopped_at + AWAY_SECONDS / 2)
        until(cluster.is_done, 150)

        print(f"silent for {silence:.2f} s, away for {AWAY_SECONDS} of them; {dict(cluster.statuses())}")
        assert sent < 300, "nothing was left to be sent"
        assert max(cluster.accepts().values()) == 1
        assert cluster.lost() == set()
        busiest = cluster.busiest()
        assert busiest.pop("all") <= 30
        assert max(busiest.values()) <= 15


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
def test_what_compose_lists_sees_a_campaign_through(make: Make, root: Path) -> None:
    """compose.yml's own commands, each with a data folder and the settings that it is given there: all delivered."""
    cluster = make("rabbitmq")
    listed = yaml.safe_load((root / "compose.yml").read_text())["services"]
    given = cluster.as_compose_gives({name: listed[name] for name in ("setup", "web", "worker", "chores", "beat")})
    command, environment = given.pop("setup")
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)

    for name, (command, environment) in given.items():
        cluster.run_as(name, command, environment)
    cluster.environment |= {"PACELINE_DATA_DIR": environment["PACELINE_DATA_DIR"]}
    cluster.campaign(200, mps=[20, 20])
    until(cluster.is_done, 120)
    until(lambda: cluster.statuses() == {"delivered": 200}, UP)  # the reports came by the web server

    assert max(cluster.accepts().values()) == 1
    assert cluster.lost() == set()


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
