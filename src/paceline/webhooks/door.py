"""How do webhooks come in by the thousand? Past Django's middleware, by the same view: reports need none of it.

    application = hooks_first(get_wsgi_application())        # in a project's wsgi.py

Answers are those that the URL would give; only the headers that middleware adds for browsers are missing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIRequest, get_path_info
from django.db import close_old_connections

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

CONNECTION_CHECK_SECONDS = 1.0

_thread = threading.local()


def hooks_first(application: Application, prefix: str = "/webhooks/") -> Application:
    """A WSGI application that answers PREFIX/ALIAS/KIND[/TOKEN] itself and leaves the rest to `application`."""
    from . import answers, views  # want Django set up, as it is when there is an `application`

    def beside(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        found = names(get_path_info(environ), prefix)
        if found is None:
            return application(environ, start_response)
        look_after_the_connection()
        try:
            response = views.receive(WSGIRequest(environ), *found)
        except Exception as error:
            response = views.response(answers.failed(found[0], error))
            close_old_connections()
        response.headers.setdefault("Content-Length", str(len(response.content)))
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return [response.content]

    return beside


def names(path: str, prefix: str) -> list[str] | None:
    """Alias, kind and token, if there is one, of a webhook's address; None for any other path."""
    parts = path[len(prefix) :].split("/") if path.startswith(prefix) else []
    return parts if len(parts) in (2, 3) and all(parts) else None


def look_after_the_connection() -> None:
    """What Django does for every request, once a second and thread: a connection that is too old is closed."""
    now = time.monotonic()
    if now - getattr(_thread, "looked_at", 0.0) >= CONNECTION_CHECK_SECONDS:
        close_old_connections()
        _thread.looked_at = now
