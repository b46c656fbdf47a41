"""How does one send a text in one line? `send` and `send_many` over a client that is made once and kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .client import PROVIDER_VARIABLE, SENDER_VARIABLE, Client, Row, Sent
from .providers.base import Provider
from .results import Progress, Result

_clients: dict[Provider | str, Client] = {}
_lock = threading.Lock()


def send(
    text: str,
    frm: str | None = None,
    to: str = "",
    *,
    provider: Provider | str | None = None,
    region: str | None = None,
    validity_seconds: int | None = None,
    report: bool = True,
    reference: str | None = None,
) -> Sent:
    """Submits one text and waits for the provider's answer: `send(text, frm, to)`, or `send(text, to=…)`.

    `provider` is a URL such as `vonage://KEY:SECRET@` or an object, else PACELINE_PROVIDER names it; `frm` may be left
    to PACELINE_FROM. Raises what `AsyncClient.send` raises. In asyncio code use an `AsyncClient`: this one blocks.
    """
    return _client(provider).send(
        text,
        os.environ.get(SENDER_VARIABLE) if frm is None else frm,
        to,
        region=region,
        validity_seconds=validity_seconds,
        report=report,
        reference=reference,
    )


def send_many(
    rows: Iterable[Row],
    text: str,
    *,
    provider: Provider | str | None = None,
    frm: str | None = None,
    senders: Sequence[str] = (),
    sticky: bool = True,
    rate: float | None = None,
    account_rate: float | None = None,
    batch_size: int | None = None,
    batch_delay: float = 0.0,
    run_file: Path | str | None = None,
    progress: Callable[[Progress], object] | None = None,
    on_result: Callable[[Result], object] | None = None,
    region: str | None = None,
    concurrency: int | None = None,
    validity_seconds: int | None = None,
    report: bool = True,
) -> list[Result]:
    """Sends a text to every row and returns a `Result` for each, in order. See `AsyncClient.send_many`."""
    return _client(provider).send_many(
        rows,
        text,
        frm=os.environ.get(SENDER_VARIABLE) if frm is None and not senders else frm,
        senders=senders,
        sticky=sticky,
        rate=rate,
        account_rate=account_rate,
        batch_size=batch_size,
        batch_delay=batch_delay,
        run_file=run_file,
        progress=progress,
        on_result=on_result,
        region=region,
        concurrency=concurrency,
        validity_seconds=validity_seconds,
        report=report,
    )


def _client(provider: Provider | str | None) -> Client:
    """The client of a provider, made with its first text; what the environment names is read each time."""
    key = provider if provider is not None else os.environ.get(PROVIDER_VARIABLE, "")
    with _lock:
        if key not in _clients:
            _clients[key] = Client(provider)
        return _clients[key]
