"""Which processes make up an installation? Children that die with this one, and are started again when they fall."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paceline.project.lifeline import PARENT
from paceline.sms.errors import PacelineError

log = logging.getLogger("paceline.supervisor")

STOP_SECONDS = 40.0  # a drain waits for answers on the wire
RESTART_SECONDS = 0.5
STEADY_SECONDS = 3.0  # who has stood this long did not fall at once: a kill is no defect


class PortTaken(PacelineError):
    """Somebody else listens there."""


class ChildFailed(PacelineError):
    """A process falls again and again."""


@dataclass(slots=True)
class Child:
    """One process: `paceline` with these arguments."""

    name: str
    arguments: Sequence[str]
    process: subprocess.Popen[bytes]
    started_at: float = field(default_factory=time.monotonic)
    falls: int = 0


class Supervisor:
    """Starts children, starts them again with growing delays when they fall, stops them all."""

    def __init__(self, log_dir: Path, environment: Mapping[str, str], *, patience: int | None = None) -> None:
        """`patience`: how often a child may fall in a row before `look` gives up; None is for ever."""
        self._patience = patience
        self._log_dir = log_dir
        self._environment = {**os.environ, **environment, PARENT: str(os.getpid())}
        self._children: list[Child] = []

    def start(self, name: str, *arguments: str) -> None:
        """Starts `paceline ARGUMENTS`; what it says goes to NAME.log in the data folder."""
        self._children.append(Child(name, arguments, self._spawn(name, arguments)))

    def _spawn(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self._log_dir / f"{name}.log").open("ab") as output:
            return subprocess.Popen(  # noqa: S603 our own command line
                [sys.executable, "-m", "paceline", *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the supervisor only, which then drains the others
            )

    def look(self) -> None:
        """Starts again what has fallen. Called every so often by whoever waits. Raises `ChildFailed`."""
        for child in self._children:
            if child.process.poll() is None:
                if time.monotonic() - child.started_at > STEADY_SECONDS:
                    child.falls = 0
                continue
            if time.monotonic() - child.started_at < RESTART_SECONDS * 2 ** min(child.falls, 6):
                continue
            log.warning("%s ended with %s; starting it again", child.name, child.process.returncode)
            child.falls += 1
            if self._patience is not None and child.falls > self._patience:
                raise ChildFailed(
                    f"{child.name} does not stay up; its last words are in {self._log_dir}/{child.name}.log"
                )
            child.process = self._spawn(child.name, child.arguments)
            child.started_at = time.monotonic()

    def wait(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Looks after the children until `ready`. Raises `TimeoutError` naming `what` and its log."""
        give_up_at = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{what} did not come up within {seconds:.0f} s; see {self._log_dir}/*.log")
            self.look()
            time.sleep(0.05)

    def end_at_once_when_asked_again(self) -> None:
        """From here on Ctrl-C ends all children and this process at once.

        As a signal's handler and not as an exception, which may come up where it goes unheard.
        """

        def at_once(*_: object) -> None:
            for child in self._children:
                _signal(child.process, signal.SIGKILL)
            os._exit(130)

        signal.signal(signal.SIGINT, at_once)

    def stop(self) -> None:
        """Asks every child to drain and end, and waits for it."""
        try:
            for child in reversed(self._children):
                _signal(child.process, signal.SIGTERM)
            give_up_at = time.monotonic() + STOP_SECONDS
            for child in self._children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.1, give_up_at - time.monotonic()))
        finally:
            for child in self._children:
                _signal(child.process, signal.SIGKILL)
                child.process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that both drain."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def port(wanted: int, *, insist: bool = False, patience_seconds: float = 1.0) -> int:
    """`wanted` if it is free (soon), else another; 0 picks any. With `insist`, raises `PortTaken` instead."""
    give_up_at = time.monotonic() + patience_seconds
    while wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return wanted
        if time.monotonic() > give_up_at:
            break
        time.sleep(0.05)
    if wanted and insist:
        raise PortTaken(f"Port {wanted} is taken; stop what listens there, or choose another with --port")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
