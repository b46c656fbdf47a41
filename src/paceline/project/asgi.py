"""The web server's way in: webhooks are taken in its event loop, pages by Django on threads."""

import os
import sys
from typing import Any

from paceline.project import lifeline

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paceline.project.settings")
lifeline.tie()

from a2wsgi import WSGIMiddleware  # noqa: E402 who is tied to a dead parent ends before it imports
from django.core.wsgi import get_wsgi_application  # noqa: E402 it reads the settings named above

PAGE_THREADS = 8
TURN_SECONDS = 0.0005
"""How long a thread may keep the others waiting: Python's 5 ms are longer than a commit, which waits several times."""

sys.setswitchinterval(TURN_SECONDS)
_django: Any = WSGIMiddleware(get_wsgi_application(), workers=PAGE_THREADS)

from paceline.webhooks.asgi import Receive, Scope, Send, hooks_first  # noqa: E402 its imports want Django set up


async def _pages(scope: Scope, receive: Receive, send: Send) -> None:
    async def received() -> Any:  # a coroutine, which a2wsgi asks for; Granian's own is only awaitable
        return await receive()

    await _django(scope, received, send)


application = hooks_first(_pages)
