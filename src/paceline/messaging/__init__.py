"""The reusable Django app: contacts, campaigns, the outbox and what comes back. Add it to `INSTALLED_APPS`.

What a project needs is imported from here; each name is loaded when it is first asked for, since tables are not ready
when Django imports an app.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paceline.sms.errors import (
        AccountProblem,
        InvalidNumber,
        OptedOut,
        Refused,
        SenderProblem,
        TextMessageError,
        Throttled,
        Unavailable,
        Uncertain,
    )
    from paceline.sms.status import Status

    from .lookups import look_up
    from .models import TextMessage
    from .signals import (
        ConversationEvent,
        KeywordMatch,
        MessageEvent,
        conversation_closed,
        conversation_opened,
        delivery_updated,
        keyword_matched,
        message_received,
        message_sent,
    )
    from .texts import InsideTransaction, queue_text, send_text

_HOMES = {
    ".lookups": ("look_up",),
    ".models": ("TextMessage",),
    ".signals": (
        *("ConversationEvent", "KeywordMatch", "MessageEvent", "conversation_closed", "conversation_opened"),
        *("delivery_updated", "keyword_matched", "message_received", "message_sent"),
    ),
    ".texts": ("InsideTransaction", "queue_text", "send_text"),
    "paceline.sms.errors": (
        *("AccountProblem", "InvalidNumber", "OptedOut", "Refused", "SenderProblem", "TextMessageError"),
        *("Throttled", "Unavailable", "Uncertain"),
    ),
    "paceline.sms.status": ("Status",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AccountProblem",
    "ConversationEvent",
    "InsideTransaction",
    "InvalidNumber",
    "KeywordMatch",
    "MessageEvent",
    "OptedOut",
    "Refused",
    "SenderProblem",
    "Status",
    "TextMessage",
    "TextMessageError",
    "Throttled",
    "Unavailable",
    "Uncertain",
    "conversation_closed",
    "conversation_opened",
    "delivery_updated",
    "keyword_matched",
    "look_up",
    "message_received",
    "message_sent",
    "queue_text",
    "send_text",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name], __name__), name)
