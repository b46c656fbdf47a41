"""The door to the inbox: read the request, call one verb, answer.

A page and its live part are one address, as everywhere here. The reply form stands outside of what is polled; what
its author has seen stands inside, so that a text that comes while they type is one that they have seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from paceline.messaging import conversations, suppressions
from paceline.messaging.models import Conversation
from paceline.sms.errors import PacelineError

from . import desk
from .views import PER_PAGE, View, personal

BULK_MOST = 200
_REFERENCE = re.compile(r"[0-9a-f]{32}")
_ID = re.compile(r"[0-9]{1,18}")
_TICK = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")


# --- pages ----------------------------------------------------------------------------------------------------


@require_GET
@personal
def inbox(request: HttpRequest) -> HttpResponse:
    show = _shown(request.GET.get("show"))
    page = Paginator(desk.chosen(show, request.user), PER_PAGE).get_page(request.GET.get("page"))
    template = "paceline/_inbox.html" if request.htmx else "paceline/inbox.html"
    return render(request, template, {"page": page, **desk.inbox(page.object_list, show, request.user)})


@require_GET
@personal
def thread(request: HttpRequest, pk: int) -> HttpResponse:
    conversation = _get(pk)
    shown = desk.thread(conversation, request.user, request.GET.get("before", ""))
    if request.htmx:
        return render(request, "paceline/_thread.html", shown)
    return _page(request, conversation, shown)


def _page(
    request: HttpRequest, conversation: Conversation, shown: dict[str, Any], status: int = 200, **typed: str
) -> HttpResponse:
    """The page of a thread, with what somebody has typed already."""
    return render(request, "paceline/thread.html", shown | desk.sides(conversation) | typed, status=status)


@require_POST  # so that no text stands in an address; it changes nothing
@personal
def count(request: HttpRequest, pk: int) -> HttpResponse:
    """What the reply comes to, while it is typed."""
    try:
        found = desk.counted(_get(pk), request.POST.get("text", ""))
    except PacelineError as error:
        found = {"error": str(error)}
    return render(request, "paceline/_count.html", found)


# --- what is said ---------------------------------------------------------------------------------------------


@require_POST
@personal
def reply(request: HttpRequest, pk: int) -> HttpResponse:
    conversation, text = _get(pk), request.POST.get("text", "")
    try:
        if quick := request.POST.get("quick"):
            return _spelled(request, conversation, conversations.expand(conversation, f"/{quick}"), text)
        conversations.reply(conversation, text, request.user, seen=_seen(request), once=_once(request))
    except PacelineError as error:
        shown = desk.thread(conversation, request.user)
        return _page(request, conversation, shown, 422, text=text, error=str(error))
    if request.POST.get("then") == "close" and conversations.close(conversation, request.user, seen=_seen(request)):
        messages.success(request, "Sent, and closed.")
        return redirect("inbox")
    messages.success(request, "On its way, ahead of every campaign.")
    return redirect("conversation", pk)


def _spelled(request: HttpRequest, conversation: Conversation, quick: str, typed: str) -> HttpResponse:
    """A quick reply was chosen from the list: it stands in the box, before what was typed, to be sent or changed."""
    text = f"{quick} {typed.strip()}".strip()
    return _page(request, conversation, desk.thread(conversation, request.user), text=text, chosen="yes")


@require_POST
@personal
def note(request: HttpRequest, pk: int) -> HttpResponse:
    conversation = _get(pk)
    try:
        conversations.note(conversation, request.POST.get("note", ""), request.user, once=_once(request))
    except ValueError as error:
        messages.error(request, f"{error}. Write something to keep.")
    else:
        messages.success(request, "Noted, for the team alone.")
    return redirect("conversation", pk)


# --- buttons --------------------------------------------------------------------------------------------------


def button(verb: Callable[[HttpRequest, Conversation], bool], done: str, late: str, to_list: bool = False) -> View:
    """The view behind a button: POST calls the verb, says what came of it, and goes on where one goes on."""

    @require_POST
    @personal
    def press(request: HttpRequest, pk: int) -> HttpResponse:
        conversation = _get(pk)
        if verb(request, conversation):
            messages.success(request, done)
            return redirect("inbox") if to_list else redirect("conversation", pk)
        messages.error(request, late.format(who=conversation.assignee or "nobody", state=conversation.state))
        return redirect("conversation", pk)

    return press


def _assign(request: HttpRequest, conversation: Conversation) -> bool:
    taking_from = request.POST.get("taking_from", "")
    return conversations.assign(conversation, request.user, taking_from=taking_from)


def _snooze(request: HttpRequest, conversation: Conversation) -> bool:
    if request.POST.get("until") == "tomorrow":
        return conversations.snooze(conversation, desk.tomorrow(request.POST.get("zone", "")))
    return conversations.snooze(conversation, timezone.now() + timedelta(hours=1))


assign = button(_assign, "It is yours.", "Not assigned: it is {state}, and {who} has it now.")
release = button(lambda _, c: conversations.release(c), "Open to all again.", "Nobody had it any more.")
snooze = button(_snooze, "Put off; a text of theirs ends it at once.", "It is closed already.", to_list=True)
reopen = button(lambda r, c: conversations.reopen(c, r.user), "Open again.", "It was open already.")
close = button(
    lambda r, c: conversations.close(c, r.user, seen=_seen(r)),
    "Closed; a text of theirs opens it again.",
    "Not closed: it is {state}, and they may have written again. Look at the last text first.",
    to_list=True,
)


@require_POST
@personal
def read(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody has seen what the page showed."""
    conversations.mark_read(_get(pk), seen=_seen(request))
    return HttpResponse(status=204) if request.htmx else redirect("conversation", pk)


@require_POST
@personal
def bulk(request: HttpRequest) -> HttpResponse:
    """Closes what was ticked, but for who has written since; or forbids texting those people, and closes."""
    chosen = _chosen(request)
    if not chosen:
        messages.error(request, "Nothing was ticked. Tick the conversations first.")
    elif request.POST.get("do") == "optout":
        stopped = _opt_out([each.pk for each, _ in chosen], conversations.name_of(request.user))
        conversations.close_all([each.pk for each, _ in chosen], request.user)
        messages.success(request, f"{_people(stopped)} marked as opted out: nobody texts them any more.")
    elif request.POST.get("do") == "close":
        closed = sum(conversations.close(each, request.user, seen=seen) for each, seen in chosen)
        stays = sum(each.state != conversations.State.CLOSED for each, _ in chosen)
        also = f" {stays} {'stays' if stays == 1 else 'stay'} open: they have written again." if stays else ""
        messages.success(request, f"{closed} {'conversation' if closed == 1 else 'conversations'} closed.{also}")
    show = _shown(request.POST.get("show"))
    return redirect(f"{reverse('inbox')}?{urlencode({'show': show})}" if show != "waiting" else "inbox")


def _chosen(request: HttpRequest) -> list[tuple[Conversation, int | None]]:
    """The ticked conversations, each with the last message that its row stood for."""
    asked = [_TICK.fullmatch(each) for each in request.POST.getlist("chosen")[:BULK_MOST]]
    seen = {int(tick[1]): int(tick[2]) if tick[2] else None for tick in asked if tick}
    return [(each, seen[each.pk]) for each in Conversation.objects.filter(pk__in=seen).order_by("pk")]


def _opt_out(ids: list[int], by: str) -> int:
    """Answers how many were not suppressed before."""
    numbers = sorted(set(Conversation.objects.filter(pk__in=ids).values_list("number", flat=True)))
    people = [number for number in numbers if conversations.NUMBER.fullmatch(number)]
    evidence = f"marked as opted out in the inbox by {by}"
    return sum(suppressions.add(each, suppressions.Reason.MANUAL, evidence) for each in people)


def _people(count: int) -> str:
    return f"{count} {'person is' if count == 1 else 'people are'}"


# --- what was asked -------------------------------------------------------------------------------------------


def _get(pk: int) -> Conversation:
    return get_object_or_404(Conversation.objects.select_related("contact", "sender", "campaign"), pk=pk)


def _shown(asked: str | None) -> str:
    return asked if asked in desk.FILTERS else "waiting"


def _seen(request: HttpRequest) -> int | None:
    """The last inbound message that the page showed; None from a page that does not say."""
    seen = request.POST.get("seen", "")
    return int(seen) if _ID.fullmatch(seen) else None


def _once(request: HttpRequest) -> str:
    """The token of the form, by which a second click is known."""
    once = request.POST.get("once", "")
    return once if _REFERENCE.fullmatch(once) else ""
