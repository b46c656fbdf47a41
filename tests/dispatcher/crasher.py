"""A dispatcher process to be killed. `at-least-once` makes it the peers' shape: what was submitting is sent again."""

import os
import sys
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "paceline.project.settings"

import django

django.setup()

from paceline.dispatcher import embedded
from paceline.messaging import outbox
from paceline.messaging.models import TextMessage


def send_it_again(now: float, *, everything: bool = False, mine: str = "") -> tuple[int, int]:
    """The mutant: a rescue that takes `submitting` for not sent."""
    TextMessage.objects.filter(status__in=["leased", "submitting"]).update(status="queued", attempt="")
    return 0, 0


if "at-least-once" in sys.argv:
    outbox.recover = send_it_again
embedded.run(Path(os.environ["PACELINE_DATA_DIR"]))
