"""How do webhooks come in by the thousand? Past Django's middleware, by the same view: reports need none of it.

    application = hooks_first(get_wsgi_application())        # in a project's wsgi.py

Answers are those that the URL would give; only the headers that middleware adds for browsers are missing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest, get_path_info
from django.db import close_old_connections
from django.http import HttpResponse

log = logging.getLogger("paceline.webhooks")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
View = Callable[..., HttpResponse]

CONNECTION_CHECK_SECONDS = 1.0
"""How often a thread looks whether its database connection is too old: Django does it for every request."""

_thread = threading.local()


def hooks_first(application: Application, prefix: str = "/webhooks/") -> Application:
    """A WSGI application that answers PREFIX/ALIAS/KIND[/TOKEN] itself and leaves the rest to `application`."""
    from . import views  # wants Django set up, as it is when there is an `application`

    def beside(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(prefix):
            return application(environ, start_response)
        parts = get_path_info(environ)[len(prefix) :].split("/")
        if len(parts) not in (2, 3) or not all(parts):
            return application(environ, start_response)
        response = _answer(views.receive, environ, *parts)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return [response.content]

    return beside


def _answer(receive: View, environ: Environ, alias: str, kind: str, token: str = "") -> HttpResponse:
    _look_after_the_connection()
    try:
        response = receive(WSGIRequest(environ), alias, kind, token)
    except SuspiciousOperation as error:  # a host that is not ours, a request that breaks off
        log.warning("A webhook for %s was refused: %s", alias, type(error).__name__)
        response = HttpResponse("Bad request", status=400)
    except Exception:
        log.exception("A webhook for %s could not be taken; its provider will send it again", alias)
        close_old_connections()
        response = HttpResponse("Not taken; send it again", status=500)
    response.headers.setdefault("Content-Length", str(len(response.content)))
    return response


def _look_after_the_connection() -> None:
    now = time.monotonic()
    if now - getattr(_thread, "looked_at", 0.0) >= CONNECTION_CHECK_SECONDS:
        close_old_connections()
        _thread.looked_at = now
