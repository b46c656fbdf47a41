"""The database goes away during a campaign: the dispatcher goes on by itself, nobody is lost or reached twice.

Real processes and real servers. Uncertain may be what was submitting when the database went, where the carrier does
not have it: whether a commit was taken whose answer never came, nobody can know, so nothing is sent for it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from paceline.project import supervisor
from paceline.sandbox.behaviour import Behaviour

from ..conftest import need
from ..installation import until
from .chaos.place import Cluster, binaries
from .scene import PATIENCE_SECONDS, PLACE, Rig, Scene
from .warm import Child

pytestmark = [pytest.mark.rig, pytest.mark.timeout(900)]

OPTIONS = {"account_mps": 25.0, "sender_mps": 15.0}
PEOPLE = 60


def calm() -> Behaviour:
    return Behaviour(latency_min=0.05, report_delay=0.1)


def sending(scene: Scene, goal: int, dispatcher: Child) -> None:
    """Waits until so many have left."""
    until(lambda: len(scene.carrier.accepts()) >= goal or dispatcher.poll() is not None, PATIENCE_SECONDS)
    assert dispatcher.poll() is None, dispatcher.said()


def comes_to_its_end(scene: Scene, dispatcher: Child, seconds: float = PATIENCE_SECONDS) -> None:
    """The same process sends the rest, whatever has happened to it."""
    assert dispatcher.wait(seconds) == 0, dispatcher.said()

    found = scene.finish(excused=set(scene.wanted))

    print(f"{found.accepts.total()} accepted, {len(found.uncertain)} uncertain")
    assert found.problems == []
    assert found.accepts.total() + len(found.uncertain) == len(scene.wanted)


# --- PostgreSQL -----------------------------------------------------------------------------------------------


def test_connections_are_terminated_again_and_again(rig: Rig) -> None:
    """`pg_terminate_backend` for whoever is connected, thirty times, wherever they are."""
    import psycopg

    with rig.scene("postgres", PEOPLE, behaviour=calm(), **OPTIONS) as scene:
        name = urlsplit(scene.place["database"]).path[1:]
        dispatcher = scene.start("dispatch")
        sending(scene, 3, dispatcher)
        terminated = 0
        with psycopg.connect(os.environ["PACELINE_TEST_POSTGRES_URL"], autocommit=True) as server:
            for _ in range(30):
                found = server.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s", [name]
                ).fetchone()
                terminated += found[0] if found else 0
                time.sleep(0.1)
        print(f"{terminated} connections were terminated")

        comes_to_its_end(scene, dispatcher)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of our own, to be stopped the hard way."""
    try:
        there = binaries()
    except FileNotFoundError:
        there = None
    need(there, "PostgreSQL's server programs (initdb, pg_ctl)")
    # not below pytest's folder, which other users may not enter: the server is one
    folder = Path(tempfile.mkdtemp(prefix="paceline-cluster-"))
    made = Cluster(folder / "postgres", supervisor.port(0))
    made.create()
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_the_server_falls_over_and_comes_back(rig: Rig, cluster: Cluster) -> None:
    """Stopped at once, no goodbye, and started again: three times."""
    rig.warm.call("migrate", {**PLACE, "folder": str(rig.folder), "database": cluster.url})
    with rig.scene("postgres", PEOPLE, behaviour=calm(), database=cluster.url, **OPTIONS) as scene:
        dispatcher = scene.start("dispatch")
        for goal in (3, 15, 30):
            sending(scene, goal, dispatcher)
            cluster.restart().wait()

        comes_to_its_end(scene, dispatcher)


class Proxy:
    """Stands before a PostgreSQL; while it `cuts`, every so-manyth COMMIT is carried out and its answer kept back."""

    def __init__(self, server: str, every: int) -> None:
        self._server = urlsplit(server)
        self._every = every
        self._commits = itertools.count(1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.cuts = False
        self.cut = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def url(self, url: str) -> str:
        """The address of a database by way of the proxy."""
        parts = urlsplit(url)
        port = self._listener.getsockname()[1]
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}", query="sslmode=disable"))

    def close(self) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._server.hostname, self._server.port or 5432))
                secret = threading.Event()
                threading.Thread(target=self._up, args=(client, server, secret), daemon=True).start()
                threading.Thread(target=self._down, args=(client, server, secret), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, secret: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT" in data and self.cuts and next(self._commits) % self._every == 0:
                    self.cut += 1
                    secret.set()
                server.sendall(data)
        _shut(client, server)

    def _down(self, client: socket.socket, server: socket.socket, secret: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if secret.is_set():
                    break
                client.sendall(data)
        _shut(client, server)


def _shut(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def test_the_answer_to_a_commit_is_lost(rig: Rig) -> None:
    """Every seventh: it is carried out and we never hear of it. What was gated then is not sent."""
    databases = rig.databases("postgres")
    url = databases.fresh(rig.folder)
    proxy = Proxy(url, every=7)
    try:
        with rig.scene("postgres", PEOPLE, behaviour=calm(), database=proxy.url(url), **OPTIONS) as scene:
            dispatcher = scene.start("dispatch")
            sending(scene, 3, dispatcher)
            proxy.cuts = True
            until(lambda: proxy.cut >= 12 or dispatcher.poll() is not None, PATIENCE_SECONDS)
            proxy.cuts = False
            print(f"{proxy.cut} answers were lost")

            comes_to_its_end(scene, dispatcher)
            assert proxy.cut
    finally:
        proxy.close()
        databases.drop(url)


# --- SQLite ---------------------------------------------------------------------------------------------------


def test_somebody_holds_the_file_for_five_seconds(rig: Rig) -> None:
    """Another program's write transaction: everybody waits for it, and nothing more."""
    with rig.scene("sqlite", PEOPLE, behaviour=calm(), **OPTIONS) as scene:
        dispatcher = scene.start("dispatch")
        sending(scene, 3, dispatcher)
        hog = sqlite3.connect(scene.folder / "paceline.sqlite3", timeout=30, isolation_level=None)
        hog.execute("BEGIN IMMEDIATE")
        time.sleep(5)
        hog.execute("ROLLBACK")
        hog.close()

        comes_to_its_end(scene, dispatcher)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False
    with contextlib.suppress(OSError):
        command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    if not mounted:  # only root may, and not in every container: no test where the system does not let us
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_the_disk_is_full_for_a_while(rig: Rig, small_disk: Path) -> None:
    """`SQLITE_FULL` at whatever was to be written: nothing leaves that is not written down before."""
    database = f"sqlite:///{small_disk / 'paceline.sqlite3'}"
    rig.warm.call("migrate", {**PLACE, "folder": str(rig.folder), "database": database})
    with rig.scene("sqlite", PEOPLE, behaviour=calm(), database=database, **OPTIONS) as scene:
        dispatcher = scene.start("dispatch")
        sending(scene, 3, dispatcher)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        until(lambda: "database did not answer" in dispatcher.said() or dispatcher.poll() is not None, PATIENCE_SECONDS)
        assert dispatcher.poll() is None, dispatcher.said()
        time.sleep(1)
        filler.unlink()

        comes_to_its_end(scene, dispatcher)
