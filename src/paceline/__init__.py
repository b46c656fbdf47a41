"""Paceline: SMS at the pace that senders, carriers and readers can take.

    import paceline

    paceline.send("Your table is ready", "+12025550100", "+12065550123")

The names of `__all__` are the library: no Django, no database. They are loaded when they are first used, so that the
import itself costs next to nothing. `paceline.messaging` is the Django app.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sms import otp as otp
    from .sms.client import AsyncClient as AsyncClient
    from .sms.client import Client as Client
    from .sms.client import Sent as Sent
    from .sms.default import send as send
    from .sms.default import send_many as send_many
    from .sms.errors import AccountProblem as AccountProblem
    from .sms.errors import InvalidNumber as InvalidNumber
    from .sms.errors import OptedOut as OptedOut
    from .sms.errors import PacelineError as PacelineError
    from .sms.errors import ProviderError as ProviderError
    from .sms.errors import Refused as Refused
    from .sms.errors import SenderProblem as SenderProblem
    from .sms.errors import TemplateError as TemplateError
    from .sms.errors import TextMessageError as TextMessageError
    from .sms.errors import Throttled as Throttled
    from .sms.errors import Unavailable as Unavailable
    from .sms.errors import Uncertain as Uncertain
    from .sms.errors import WebhookRejected as WebhookRejected
    from .sms.messages import Accepted as Accepted
    from .sms.messages import DeliveryReport as DeliveryReport
    from .sms.messages import InboundText as InboundText
    from .sms.messages import Message as Message
    from .sms.messages import Request as Request
    from .sms.messages import Response as Response
    from .sms.messages import WebhookRequest as WebhookRequest
    from .sms.numbers import is_valid as is_valid
    from .sms.numbers import normalize as normalize
    from .sms.providers import Capabilities as Capabilities
    from .sms.providers import Provider as Provider
    from .sms.results import Outcome as Outcome
    from .sms.results import Progress as Progress
    from .sms.results import Result as Result
    from .sms.runs import RunFileError as RunFileError
    from .sms.segments import count as count
    from .sms.segments import segments as segments
    from .sms.segments import smart as smart
    from .sms.segments import split as split
    from .sms.status import Status as Status

__version__ = "0.1.0"

_HOMES = {
    "client": "AsyncClient Client Sent",
    "default": "send send_many",
    "errors": "AccountProblem InvalidNumber OptedOut PacelineError ProviderError Refused SenderProblem TemplateError"
    " TextMessageError Throttled Unavailable Uncertain WebhookRejected",
    "messages": "Accepted DeliveryReport InboundText Message Request Response WebhookRequest",
    "numbers": "is_valid normalize",
    "providers": "Capabilities Provider",
    "results": "Outcome Progress Result",
    "runs": "RunFileError",
    "segments": "count segments smart split",
    "status": "Status",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [  # a literal, as type checkers want it
    "Accepted",
    "AccountProblem",
    "AsyncClient",
    "Capabilities",
    "Client",
    "DeliveryReport",
    "InboundText",
    "InvalidNumber",
    "Message",
    "OptedOut",
    "Outcome",
    "PacelineError",
    "Progress",
    "Provider",
    "ProviderError",
    "Refused",
    "Request",
    "Response",
    "Result",
    "RunFileError",
    "SenderProblem",
    "Sent",
    "Status",
    "TemplateError",
    "TextMessageError",
    "Throttled",
    "Unavailable",
    "Uncertain",
    "WebhookRejected",
    "WebhookRequest",
    "__version__",
    "count",
    "is_valid",
    "normalize",
    "otp",
    "segments",
    "send",
    "send_many",
    "smart",
    "split",
]


def __getattr__(name: str) -> Any:
    """Loads a public name on first use, and keeps it."""
    if name == "otp":
        value: Any = import_module("paceline.sms.otp")
    elif name in _HOME:
        value = getattr(import_module(f"paceline.sms.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'paceline' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
