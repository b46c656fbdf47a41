"""Who starts the processes that are killed? A parent that has imported everything: so a kill hits work, not start-up.

It is forked before anybody has a database connection or a thread, and forks in its turn on request.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Role = Callable[..., None]


class Nursery:
    """`spawn` answers the id of a new process that does what its role says. They all end with `close`, or with us."""

    def __init__(self, roles: Mapping[str, Role], logs: Path) -> None:
        self._socket, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._socket.close()
            try:
                _serve(theirs, roles, logs)
            finally:
                os._exit(0)
        theirs.close()
        self._answers = self._socket.makefile("r")

    def spawn(self, role: str, **options: Any) -> int:
        self._socket.sendall(json.dumps([role, options]).encode() + b"\n")
        return int(self._answers.readline())

    def close(self) -> None:
        """Kills whatever still lives."""
        self._answers.close()
        self._socket.close()
        os.waitpid(self._pid, 0)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _serve(requests: socket.socket, roles: Mapping[str, Role], logs: Path) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: the system buries them itself
    gc.collect()
    gc.freeze()
    for line in requests.makefile("r"):
        role, options = json.loads(line)
        pid = os.fork()
        if pid == 0:
            requests.close()
            _live(roles[role], options, logs / f"{role}.log")
        requests.sendall(b"%d\n" % pid)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGKILL)


def _live(role: Role, options: Mapping[str, Any], log: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    code = 1
    try:
        role(**options)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
