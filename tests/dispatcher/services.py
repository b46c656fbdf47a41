"""Brokers and databases of a test's own, which it may stop and start again."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from paceline.project import supervisor

from ..conftest import need
from ..rig.chaos import place

STARTS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Service:
    """`stop` ends it, `start` begins it anew at the same address; both answer when it is done."""

    url: str
    start: Callable[[], None]
    stop: Callable[[], None]


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[Service]:
    """Keeps nothing on disk."""
    need(shutil.which("redis-server"), "redis-server")
    folder.mkdir()
    port = _port()
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        _listening(port)

    def stop() -> None:
        for process in running:
            process.kill()
            process.wait()

    start()
    try:
        yield Service(f"redis://127.0.0.1:{port}/0", start, stop)
    finally:
        stop()


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[Service]:
    """A node of its own beside whatever runs here, without plugins."""
    need(shutil.which("rabbitmq-server"), "rabbitmq-server")
    need(os.geteuid() == 0, "root, to start RabbitMQ as its own user")
    folder.mkdir()
    folder.chmod(0o777)  # the server is another user
    port, name = _port(), f"paceline{os.getpid()}@localhost"
    environment = os.environ | {
        "RABBITMQ_NODENAME": name,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(_port()),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
    }

    def start() -> None:
        subprocess.run(["rabbitmq-server", "-detached"], env=environment, check=True, capture_output=True)
        _listening(port)
        control("await_startup", "--timeout", "60", check=True)

    def stop() -> None:
        control("shutdown")

    def control(*arguments: str, check: bool = False) -> None:
        subprocess.run(["rabbitmqctl", "-q", "-n", name, *arguments], check=check, capture_output=True, timeout=90)

    start()
    try:
        yield Service(f"amqp://guest:guest@127.0.0.1:{port}//", start, stop)
    finally:
        stop()


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Service]:
    """Stopped without a goodbye to anybody, as in a crash; its commits are durable."""
    try:
        place.binaries()
    except FileNotFoundError:
        need(False, "PostgreSQL's initdb")
    cluster = place.Cluster(folder, _port())
    cluster.create()
    try:
        yield Service(cluster.url, cluster.start, cluster.stop)
    finally:
        cluster.stop()


BROKERS: dict[str, Callable[[Path], AbstractContextManager[Service]]] = {"redis": redis, "rabbitmq": rabbitmq}


def _port() -> int:
    """A free one that the system gives to nobody else while the service is away: not even to who tries to reach it."""
    return supervisor.port(random.randrange(20_000, 30_000), insist=True)


def _listening(port: int) -> None:
    give_up_at = time.monotonic() + STARTS_SECONDS
    while not _answers(port):
        assert time.monotonic() < give_up_at, f"nothing listens on {port}"
        time.sleep(0.05)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
