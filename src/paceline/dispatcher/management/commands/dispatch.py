"""How does a Django project send what is queued? `manage.py dispatch`, for good or until nothing is due."""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from paceline.dispatcher import chores, embedded
from paceline.messaging import accounts, engine

IDLE_LOOKS = 2  # between two queries work may have gone from one station to another
PATIENCE_SECONDS = 5.0  # for the dispatcher before, which is draining


class Command(BaseCommand):
    """Sends what is due, in its pace, and applies delivery reports."""

    help = (
        "Sends queued texts and campaigns, and applies delivery reports, until SIGTERM or Ctrl-C (drains; the second "
        "time it stops at once). One at a time on one folder."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--until-idle", "--once", action="store_true", help="Stop when nothing is due any more: for cron and tests."
        )
        parser.add_argument("--for", type=float, metavar="SECONDS", dest="seconds", help="Stop after so many seconds.")
        parser.add_argument(
            "--data-dir",
            type=Path,
            help="The folder of its lock and wire log; default PACELINE['DATA_DIR'], else .paceline here.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not accounts.configured():
            raise CommandError("There is no provider in PACELINE['PROVIDERS'], so nothing can be sent")
        seconds, until_idle = options["seconds"], options["until_idle"]
        stop_at = math.inf if seconds is None else time.monotonic() + seconds
        idle_looks = 0

        def done() -> bool:
            nonlocal idle_looks
            idle_looks = 0 if not until_idle or chores.is_anything_due(engine.now()) else idle_looks + 1
            return idle_looks >= IDLE_LOOKS or time.monotonic() > stop_at

        ends = until_idle or seconds is not None
        try:
            embedded.run(
                options["data_dir"] or _folder(),
                until=done if ends else None,
                patience_seconds=0 if until_idle else PATIENCE_SECONDS,
            )
        except embedded.AlreadyRunning as error:
            raise CommandError(str(error)) from error


def _folder() -> Path:
    return Path(settings.PACELINE.get("DATA_DIR", ".paceline")).absolute()
