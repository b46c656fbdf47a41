"""How does a child process learn that its parent is gone, however the parent went? It looks, twenty times a second."""

from __future__ import annotations

import os
import signal
import threading
import time

PARENT = "PACELINE_PARENT"
LOOK_EVERY_SECONDS = 0.05


def tie() -> None:
    """Ends this process with its parent, if `PACELINE_PARENT` asks for it.

    The variable holds the supervisor's process id, so that a parent which died before we looked is noticed too;
    a grandchild (a web worker) ties itself to whoever started it.
    """
    supervisor = os.environ.get(PARENT)
    if not supervisor:
        return
    parent = os.getppid()
    if not _alive(int(supervisor)) or parent == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=_look, args=(parent, int(supervisor)), name="lifeline", daemon=True).start()


def _look(parent: int, supervisor: int) -> None:
    while os.getppid() == parent and _alive(supervisor):
        time.sleep(LOOK_EVERY_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
