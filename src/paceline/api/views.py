"""What can a program do? Send a text to many numbers, watch that campaign, pause it, resume it, cancel it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from django.shortcuts import get_object_or_404
from django.urls import reverse
from rest_framework import status
from rest_framework.exceptions import NotAuthenticated, ParseError
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from paceline.messaging import campaigns, engine, progress
from paceline.messaging.models import Campaign
from paceline.messaging.replies import ReplyPace

from .authentication import HOW, ApiKeyAuthentication
from .errors import Conflict, TooLarge
from .serializers import BulkMessage


class JsonParser(JSONParser):
    """JSON, however deeply somebody nests it."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse(*args, **kwargs)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None


class ApiView(APIView):
    """JSON in, JSON out, with a key. Said here and not left to a host project's settings, which may be open."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [IsAuthenticated]
    parser_classes = [JsonParser]
    renderer_classes = [JSONRenderer]

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> None:
        if not request.successful_authenticator:
            raise NotAuthenticated(f"No API key was given. {HOW}")
        super().permission_denied(request, message, code)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if most is not None and _content_length(request) > most:
            raise TooLarge(
                f"The request's body is larger than {most} bytes. Put the numbers into a file and import it with "
                "`paceline contacts import FILE`, or send several requests."
            )


class MessageView(ApiView):
    """`POST /message/`: makes a campaign of the request and starts it; 202 before the first text leaves."""

    def post(self, request: Request) -> Response:
        asked = BulkMessage(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        recipients = values["recipients"]
        try:
            with engine.write():  # both or neither: an error leaves no draft behind
                campaign = campaigns.create(
                    "",
                    values["message_string"],
                    numbers=recipients.numbers,
                    sender=values["sender"],
                    batch_size=values.get("batch_size"),
                    delay_period=values.get("delay_period", 0.0),
                    mps=values.get("mps"),
                    spend_cap=values.get("spend_cap"),
                    reply_pace=ReplyPace(line=values["line"]) if "line" in values else None,
                )
                campaigns.launch(campaign)
        except campaigns.CampaignError as error:
            raise Conflict(str(error)) from error
        url = _absolute(request, reverse("api:campaign", args=[campaign.pk]))
        return Response(
            {
                "id": campaign.pk,
                "url": url,
                "recipients": len(recipients.numbers),
                "duplicates": recipients.duplicates,
                "state": campaign.state,
            },
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": url},
        )


class CampaignView(ApiView):
    """`GET /api/campaigns/<id>/`: how far it is, in numbers."""

    def get(self, request: Request, pk: int) -> Response:
        return Response(progress.of(get_object_or_404(Campaign, pk=pk)).as_json())


class CampaignVerbView(ApiView):
    """`POST /api/campaigns/<id>/pause/`, `resume/`, `cancel/`: 409 when its state does not allow it."""

    verb: ClassVar[str] = ""
    VERBS: ClassVar[dict[str, Callable[[Campaign], Campaign]]] = {
        "pause": campaigns.pause,
        "resume": campaigns.resume,
        "cancel": campaigns.cancel,
    }

    def post(self, request: Request, pk: int) -> Response:
        campaign = get_object_or_404(Campaign, pk=pk)
        try:
            self.VERBS[self.verb](campaign)
        except campaigns.CampaignError as error:
            raise Conflict(str(error)) from error
        return Response(progress.of(campaign).as_json())


def _content_length(request: Request) -> int:
    """0 when the header is missing or no number; the server then hands us no body either."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _absolute(request: Request, path: str) -> str:
    public_url = getattr(settings, "PUBLIC_URL", "")
    return public_url + path if public_url else request.build_absolute_uri(path)
