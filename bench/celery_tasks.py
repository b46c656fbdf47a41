"""What do people write with Celery? A task for each message: get the row, send it, save what came back.

python -m bench.celery_tasks queue MESSAGES | work CORE
"""

from __future__ import annotations

import os
import sys
import warnings

import django
import requests
from bench import harness
from celery import Celery
from celery.exceptions import SecurityWarning

app = Celery("bench", broker=os.environ.get("BENCH_BROKER", "redis://127.0.0.1:6379/15"))
app.conf.update(task_default_queue=os.environ.get("BENCH_QUEUE", "paceline-bench"), task_ignore_result=True)


@app.task
def send(pk: int) -> None:
    from paceline.messaging.models import TextMessage

    message = TextMessage.objects.get(pk=pk)
    answer = requests.post(
        os.environ["BENCH_URL"] + "/v1/messages",
        json={
            "message_type": "text",
            "channel": "sms",
            "to": message.to[1:],
            "from": message.frm[1:],
            "text": message.text,
            "client_ref": message.reference,
        },
        auth=("key", "secret"),
        timeout=30,
    )
    message.status = "accepted"
    message.provider_id = answer.json()["message_uuid"]
    message.save()


def main(verb: str, number: str) -> None:
    django.setup()
    from paceline.messaging.models import TextMessage

    if verb == "queue":
        for pk in TextMessage.objects.order_by("pk").values_list("pk", flat=True)[: int(number)]:
            send.delay(pk)
    else:
        harness.pin(int(number))
        warnings.filterwarnings("ignore", category=SecurityWarning)  # root may measure, too
        app.worker_main(["worker", "--pool=solo", "--loglevel=ERROR", "--without-gossip", "--without-mingle"])


if __name__ == "__main__":
    main(*sys.argv[1:])
