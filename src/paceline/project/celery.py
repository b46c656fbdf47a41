"""How is Celery set up? It carries wake-ups, never a message: the outbox table is all that web and workers share.

A wake-up may be lost, doubled or late; the next comes within a second. So nothing of the broker's is kept on disk,
acknowledged late or scheduled there, and what nobody has taken within a few seconds expires.
"""

from __future__ import annotations

import os
from ctypes import c_bool
from multiprocessing.sharedctypes import RawValue
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paceline.project.settings")

from celery import Celery, signals
from django.conf import settings
from django.db import connections

from paceline.project import lifeline

EVERY_SECONDS = 1.0
EXPIRES_SECONDS = 10.0
"""Far more than a wake-up needs, as it is compared by the clocks of two machines."""

_instance = settings.PACELINE.get("INSTANCE") or ""
_prefix = f"paceline-{_instance}" if _instance else "paceline"
DISPATCH, CHORES = f"{_prefix}.dispatch", f"{_prefix}.chores"

app = Celery("paceline", broker=settings.PACELINE_BROKER_URL, include=["paceline.project.tasks"])
app.conf.update(
    task_default_queue=CHORES,
    task_routes={"paceline.dispatch": {"queue": DISPATCH}},
    task_ignore_result=True,
    task_acks_late=False,  # a worker that dies takes its wake-up along; beat has the next
    task_publish_retry=True,  # once: without it beat keeps for ever to a connection that a RabbitMQ has closed
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2},
    task_default_delivery_mode="transient",
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_proc_alive_timeout=60.0,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    beat_scheduler="celery.beat:Scheduler",  # keeps no file: after a restart everything is due at once
    beat_max_loop_interval=EVERY_SECONDS,
    beat_schedule={
        name: {"task": f"paceline.{name}", "schedule": EVERY_SECONDS, "options": {"expires": EXPIRES_SECONDS}}
        for name in ("wake", "chores")
    },
    timezone="UTC",
)

_draining: Any = RawValue(c_bool, False)  # shared with the pool's processes, and without a lock that one could die with


def draining() -> bool:
    """True as soon as this worker has been told to stop: shifts end at once, instead of in half a minute."""
    return bool(_draining.value)


@signals.worker_shutting_down.connect
def _drain(**_: object) -> None:
    _draining.value = True


@signals.worker_init.connect
def _begin(**_: object) -> None:
    """A worker that starts looks whether the database is an older copy; one that cannot look does not start."""
    from paceline.messaging import installation

    try:
        installation.begin(settings.PACELINE["DATA_DIR"])
    except Exception as error:  # Celery would log it and go on
        raise SystemExit(f"The database cannot be looked at ({type(error).__name__}): no worker starts") from error
    connections.close_all()  # the pool's processes must not inherit it


@signals.worker_process_init.connect
def _tie(**_: object) -> None:
    lifeline.tie()


def _touch(**_: object) -> None:
    (settings.PACELINE["DATA_DIR"] / "beat").touch()


def served(seconds: float = 2.0) -> set[str]:
    """The queues that workers answer for, on whichever machine. Raises kombu's errors when the broker is away."""
    with app.connection_for_write(settings.PACELINE_BROKER_URL, connect_timeout=seconds) as broker:
        broker.ensure_connection(max_retries=1, interval_start=0.1, timeout=seconds)
        answers = app.control.inspect(timeout=seconds, connection=broker).active_queues() or {}
    return {queue["name"] for queues in answers.values() for queue in queues}


def work(queue: str, concurrency: int) -> None:
    """A worker on one of the queues, until SIGTERM; then its shifts drain."""
    name = f"{queue.rpartition('.')[2]}-{os.getpid()}@%h"
    quiet = ("--without-gossip", "--without-mingle", "--loglevel", "WARNING")
    app.worker_main(["worker", "-Q", queue, "-c", str(concurrency), "-n", name, *quiet])


def beat() -> None:
    """The wake-ups, once a second, until SIGTERM. A second beat only doubles them.

    The file `beat` in the data folder is as old as the last one that the broker took.
    """
    signals.after_task_publish.connect(_touch)
    app.start(["beat", "--loglevel", "WARNING", "--pidfile="])
