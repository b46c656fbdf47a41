"""How do webhooks come in by the thousand? Read on one thread, the event loop's, and committed together by another.

    application = hooks_first(get_asgi_application())        # in a project's asgi.py; imported when Django is set up

`door.hooks_first` does the same for a WSGI server. There each webhook holds a thread until it is committed, and handing
over between them costs more than all the rest; here as many share a commit as come in during the last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections

from paceline.messaging import events
from paceline.sms.messages import WebhookRequest

from . import answers, door

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]


def hooks_first(application: Application, prefix: str = "/webhooks/") -> Application:
    """An ASGI application that answers PREFIX/ALIAS/KIND[/TOKEN] itself and leaves the rest to `application`."""
    together = _Together()

    async def beside(scope: Scope, receive: Receive, send: Send) -> None:
        names = door.names(scope["path"], prefix) if scope["type"] == "http" else None
        if names is None or scope["method"] not in answers.METHODS:
            await application(scope, receive, send)
            return
        alias = names[0]
        try:
            answer = await _answer(scope, receive, alias, together)
        except Exception as error:
            answer = answers.failed(alias, error)
        if answer is not None:
            await _say(answer, send)

    return beside


async def _answer(scope: Scope, receive: Receive, alias: str, together: _Together) -> answers.Answer | None:
    """None when the caller hangs up in the middle."""
    headers = _headers(scope)
    if answers.is_too_large(headers.get("content-length")):
        return answers.TOO_LARGE
    body = await _body(receive)
    if body is None:
        return None
    webhook = WebhookRequest(
        method=scope["method"],
        path=scope["path"],
        headers=headers,
        query=scope["query_string"].decode("latin-1"),
        body=body,
        origin=_origin(scope["scheme"], tuple(scope.get("server") or ()), _asked_as(scope)),
    )
    arrival, answer = answers.hear(webhook, alias)
    if arrival is not None:
        await together.store(arrival)
    return answer


def _headers(scope: Scope) -> dict[str, str]:
    """By their names in small letters; one that is there twice has both values."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def _asked_as(scope: Scope) -> Headers:
    """The headers by which Django knows what it was asked as."""
    names = _names()
    return tuple((name, value) for name, value in scope["headers"] if name in names)


@lru_cache(maxsize=1)
def _names() -> frozenset[bytes]:
    proxy = settings.SECURE_PROXY_SSL_HEADER[0] if settings.SECURE_PROXY_SSL_HEADER else ""
    forwarded = proxy.removeprefix("HTTP_").replace("_", "-").lower()
    return frozenset([b"host", b"x-forwarded-host", b"x-forwarded-port", forwarded.encode()])


@lru_cache(maxsize=64)
def _origin(scheme: str, server: tuple[Any, ...], headers: Headers) -> str:
    """Scheme and host that were asked, by Django's settings. It takes as long as all the rest, so it is remembered.

    Raises `DisallowedHost`.
    """
    asked = {"scheme": scheme, "server": server, "headers": headers}
    request = ASGIRequest({"type": "http", "method": "POST", "path": "/", "query_string": b"", **asked}, BytesIO())
    return f"{request.scheme}://{request.get_host()}"


async def _body(receive: Receive) -> bytes | None:
    """As much of it as shows that it is too much; None when the caller hangs up."""
    parts, length, is_more = [], 0, True
    while is_more and length <= answers.BODY_MOST:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        is_more = message.get("more_body", False)
    return b"".join(parts)


async def _say(answer: answers.Answer, send: Send) -> None:
    headers = [
        (b"content-type", answers.CONTENT_TYPE.encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


class _Together:
    """Keeps what comes in, all that waits in one commit, on a thread of its own."""

    def __init__(self) -> None:
        self._waiting: dict[events.Arrival, asyncio.Future[None]] = {}
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "webhooks")

    async def store(self, arrival: events.Arrival) -> None:
        """Returns when it is committed; raises what has kept it from that."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[arrival] = kept
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await kept
        if arrival.error is not None:
            raise arrival.error

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = events.sharing(self._waiting)
            told = [self._waiting.pop(arrival) for arrival in group]
            try:
                await loop.run_in_executor(self._thread, _store, group)
            except RuntimeError as error:  # no thread can be started, or no more: the process ends
                for arrival in group:
                    arrival.end(error)
            for kept in told:
                if not kept.done():  # its caller may have hung up
                    kept.set_result(None)
        self._writing = None


def _store(group: list[events.Arrival]) -> None:
    """Never raises: each arrival says how it went."""
    try:
        door.look_after_the_connection()
        events.store_together(group)
        if any(arrival.error for arrival in group):
            close_old_connections()
        else:
            events.apply_at_once()
    except Exception as error:
        for arrival in group:
            arrival.end(arrival.error or error)
