"""Where do the processes of a case come from? Forked from one that has imported everything, so that each costs 20 ms.

`Warm` is its remote control; this module, run as a program, is the warm process itself. It has neither threads nor a
database connection, and does nothing but fork what `cases` knows and say how each child ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..installation import environment

ROOT = Path(__file__).resolve().parent.parent.parent
DIE_WITH_PARENT = 1


class Warm:
    """`start` begins a child of a place, `call` waits for what it answers. Any thread may ask."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        ours = {
            "DJANGO_SETTINGS_MODULE": "paceline.project.settings",
            "PACELINE_DATA_DIR": str(folder),
            "PACELINE_SECRET_KEY": "only-for-tests",
        }
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name if __spec__ else __name__],
            cwd=ROOT,
            env=environment() | ours,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, what: str, place: Any, **options: Any) -> Child:
        """A new process that does `cases.<what>(place, **options)`."""
        folder = Path(place["folder"])
        pid = self.ask({"fork": what, "place": place, "options": options})
        return Child(self, pid, folder / f"{what}-{pid}.json", folder / "children.log")

    def call(self, what: str, place: Any, **options: Any) -> Any:
        """What the function answers, done by a process of its own."""
        child = self.start(what, place, **options)
        code = child.wait()
        assert code == 0, f"{what} ended with {code}:\n{child.said()}"
        return json.loads(child.answer.read_text())

    def ask(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin and self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Every child that still lives ends with it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)


@dataclass(slots=True)
class Child:
    warm: Warm
    pid: int
    answer: Path
    log: Path
    code: int | None = None

    def poll(self) -> int | None:
        """How it ended (negative: by which signal); None while it lives."""
        if self.code is None:
            self.code = self.warm.ask({"poll": self.pid})
        return self.code

    def wait(self, seconds: float = 240.0) -> int:
        give_up_at = time.monotonic() + seconds
        while (code := self.poll()) is None:
            assert time.monotonic() < give_up_at, f"process {self.pid} still lives after {seconds} s:\n{self.said()}"
            time.sleep(0.02)
        return code

    def send(self, number: signal.Signals) -> None:
        """To a process that has ended, nothing."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()

    def said(self) -> str:
        """The end of what the place's processes have printed."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


# --- the warm process -----------------------------------------------------------------------------------------


def main() -> None:
    import django

    django.setup()
    from . import cases

    children: dict[int, int | None] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if "fork" in order:
            answer: Any = os.fork()
            if answer == 0:
                _live(cases, order)
            children[answer] = None
        else:
            answer = _ended(order["poll"], children)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid, code in children.items():
        if code is None:
            os.kill(pid, signal.SIGKILL)


def _ended(pid: int, children: dict[int, int | None]) -> int | None:
    if children[pid] is None:
        found, status = os.waitpid(pid, os.WNOHANG)
        children[pid] = os.waitstatus_to_exitcode(status) if found else None
    return children[pid]


def _live(cases: Any, order: dict[str, Any]) -> None:
    """The child: does one thing, writes down what it comes to, and ends without any goodbye."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        place, what = order["place"], order["fork"]
        log = os.open(Path(place["folder"]) / "children.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for theirs, ours in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(theirs, ours)
        cases.move_into(place)
        value = getattr(cases, what)(place, **order["options"])
        answer = Path(place["folder"]) / f"{what}-{os.getpid()}.json"
        answer.write_text(json.dumps(value))
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
