"""The door people knock on: read the request, call one verb, answer.

A page and its live part are one address: htmx polls it and gets the fragment alone. GET changes nothing; the one
exception is the one-time login link.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import LoginView, redirect_to_login
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseClientRefresh

from paceline.messaging import campaigns, reconcile, replies
from paceline.messaging.models import Campaign

from . import links, pages
from .forms import PaceForm

View = Callable[..., HttpResponse]
PER_PAGE = 50
PACE_CHANGED = "The pace is changed; it holds from the next tranche on."


def personal(view: View) -> View:
    """Only for who is logged in, and kept by no cache. A poll without a session reloads its page, which then asks."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if request.htmx:
            return HttpResponseClientRefresh()
        return redirect_to_login(request.get_full_path()) if request.method == "GET" else redirect("login")

    return guarded


# --- getting in -----------------------------------------------------------------------------------------------


class Login(LoginView):
    template_name = "paceline/login.html"
    redirect_authenticated_user = True


@require_GET  # not HEAD: what previews a link must not use it up
@never_cache
def login_link(request: HttpRequest, uidb64: str, token: str) -> HttpResponse:
    if links.use(request, uidb64, token):
        return redirect("campaigns")
    return render(request, "paceline/gone.html", status=410)


# --- pages ----------------------------------------------------------------------------------------------------


@require_GET
@personal
def campaign_list(request: HttpRequest) -> HttpResponse:
    page = Paginator(Campaign.objects.order_by("-pk"), PER_PAGE).get_page(request.GET.get("page"))
    template = "paceline/_campaigns.html" if request.htmx else "paceline/campaigns.html"
    return render(request, template, {"page": page, **pages.campaign_list(page.object_list)})


@require_GET
@personal
def campaign_page(request: HttpRequest, pk: int) -> HttpResponse:
    campaign = get_object_or_404(Campaign, pk=pk)
    template = "paceline/_campaign.html" if request.htmx else "paceline/campaign.html"
    return render(request, template, {"form": PaceForm.of(campaign), **pages.campaign(campaign)})


# --- buttons --------------------------------------------------------------------------------------------------


def button(verb: Callable[[Campaign], Any], done: str) -> View:
    """The view behind a button: POST calls the verb, says what came of it, and goes back to the campaign."""

    @require_POST
    @personal
    def press(request: HttpRequest, pk: int) -> HttpResponse:
        campaign = get_object_or_404(Campaign, pk=pk)
        try:
            verb(campaign)
        except campaigns.CampaignError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, done)
        return redirect("campaign", pk)

    return press


launch = button(campaigns.launch, "Launched.")
pause = button(campaigns.pause, "Paused. What is on the wire already will finish.")
resume = button(campaigns.resume, "Resumed, exactly where it stood.")
cancel = button(campaigns.cancel, "Cancelled. Who had not been texted yet never will be by this campaign.")


@require_POST
@personal
def resend(request: HttpRequest, pk: int) -> HttpResponse:
    campaign = get_object_or_404(Campaign, pk=pk)
    count = reconcile.resend(reconcile.uncertain(campaign).values_list("pk", flat=True))
    messages.success(request, f"{count} {'text is' if count == 1 else 'texts are'} queued again.")
    return redirect("campaign", pk)


@require_POST
@personal
def set_pace(request: HttpRequest, pk: int) -> HttpResponse:
    campaign = get_object_or_404(Campaign, pk=pk)
    form = PaceForm(request.POST)
    if not form.is_valid():
        return render(request, "paceline/campaign.html", {"form": form, **pages.campaign(campaign)}, status=422)
    asked = form.cleaned_data

    def change(campaign: Campaign) -> None:
        limits = {"mps": asked["mps"], "spend_cap": asked["spend_cap"]}
        if {"mps", "spend_cap"} & request.POST.keys():
            campaigns.set_limits(campaign, **limits)
        if "line" in request.POST:
            campaigns.set_reply_pace(campaign, replies.pace(campaign).with_line(asked["line"]))
        campaigns.set_pace(campaign, batch_size=asked["batch_size"], delay_period=asked["delay_period"])

    return button(change, PACE_CHANGED)(request, pk)
