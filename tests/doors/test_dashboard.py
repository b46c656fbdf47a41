"""What do people see and press, and what can nobody do by knowing an address?"""

from __future__ import annotations

import re
import time
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from paceline.dashboard import charts, context, links, pages, urls
from paceline.messaging import campaigns, lanes, progress, senders
from paceline.messaging.models import Campaign, Sender, TextMessage
from paceline.sms.status import Status

from . import stage

pytestmark = pytest.mark.django_db

PUBLIC = {"login", "login-link", "logout"}
LISTS = {"campaigns", "inbox", "inbox-bulk"}
BUTTONS = ("launch", "pause", "resume", "cancel", "pace")
PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title><svg onload=alert(1)>",
    "' autofocus onfocus='alert(1)",
    "{{ x|default(\"<b onclick='alert(1)'>\") }}",
    "`<script>alert(1)</script>`",
]


@pytest.fixture(autouse=True)
def configured(settings):
    settings.PACELINE = {"PROVIDERS": {"default": {"BACKEND": "paceline.sms.providers.local.Dummy"}}, "REGION": "US"}


@pytest.fixture
def operator():
    return stage.operator()


@pytest.fixture
def browser(client, operator):
    client.force_login(operator, backend=links.BACKEND)
    return client


@pytest.fixture
def running():
    """20 guests; 12 texts have left."""
    return stage.opening_night(guests=20, gone=12)


def address(name: str, campaign: Campaign) -> str:
    return reverse(name, args=[campaign.pk])


def state_of(campaign: Campaign) -> str:
    return Campaign.objects.get(pk=campaign.pk).state


# --- who may come in ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({url.name for url in urls.urlpatterns} - PUBLIC))
@pytest.mark.parametrize("method", ["get", "post"])
def test_every_page_asks_who_you_are(client, running, name, method):
    """A stranger is sent to the login page, or told that the method is wrong; nothing happens."""
    url = reverse(name) if name in LISTS else address(name, running)

    answer = getattr(client, method)(url)

    assert answer.status_code == 405 or answer.url.startswith("/login/")
    assert state_of(running) == "running"


def test_a_poll_without_a_session_reloads_its_page(client, running):
    """The login page is never swapped into the middle of a campaign."""
    answer = client.get(address("campaign", running), headers={"HX-Request": "true"})

    assert (answer.headers["HX-Refresh"], answer.content) == ("true", b"")


@pytest.mark.parametrize("button", [*(f"campaign-{button}" for button in BUTTONS), "logout", "login"])
def test_a_post_without_a_token_is_forbidden(operator, running, button):
    """Another site cannot press a button."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator, backend=links.BACKEND)
    url = reverse(button) if button in PUBLIC else address(button, running)

    assert browser.post(url).status_code == 403
    assert state_of(running) == "running"


@pytest.mark.parametrize("button", [f"campaign-{button}" for button in BUTTONS])
def test_get_changes_nothing(browser, running, button):
    assert browser.get(address(button, running)).status_code == 405


@pytest.mark.parametrize("page", ["campaigns", "campaign", "login", "used link"])
def test_no_page_is_kept_by_a_cache_or_runs_what_is_not_ours(browser, running, page):
    """no-store, a policy without inline code, and markup that needs none."""
    url = {"campaign": address("campaign", running), "used link": "/login/MQ/x-y/"}.get(page)
    answer = (Client() if page == "login" else browser).get(url or reverse(page))
    html, policy = answer.content.decode(), answer.headers["Content-Security-Policy"]

    assert "no-store" in answer.headers["Cache-Control"]
    assert "script-src 'self'" in policy and "style-src 'self'" in policy and "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", html)


# --- the one-time link ----------------------------------------------------------------------------------------


def test_a_link_lets_in_once(client, operator):
    link = links.make(operator)

    assert client.get(link).url == "/"
    assert client.get("/").status_code == 200
    again = Client().get(link)
    assert again.status_code == 410
    assert "paceline login-link" in again.content.decode()


def test_a_link_used_in_the_second_of_the_last_login_is_dead_too(client, operator):
    """Django's own tokens cut the last login to whole seconds and would live on."""
    operator.last_login = timezone.now().replace(microsecond=100)
    operator.save()
    link = links.make(operator)
    assert client.get(link).status_code == 302

    get_user_model().objects.update(last_login=operator.last_login.replace(microsecond=200))

    assert Client().get(link).status_code == 410


def test_two_clicks_at_once_let_in_one(operator, monkeypatch):
    """Both have passed the check; the database says who was first."""
    link = links.make(operator)
    monkeypatch.setattr(links.tokens, "check_token", _first_clicks_elsewhere(link))

    assert Client().get(link).status_code == 410


def _first_clicks_elsewhere(link):
    clicks = []

    def check(user, token):
        if not clicks:
            clicks.append(link)
            assert Client().get(link).status_code == 302
        return True

    return check


def test_a_link_lives_half_an_hour(client, operator, settings, monkeypatch):
    link = links.make(operator)
    later = links.tokens._now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT + 1)
    monkeypatch.setattr(links.tokens, "_now", lambda: later)

    assert client.get(link).status_code == 410


@pytest.mark.parametrize("case", ["inactive", "forged", "nobody", "garbage", "a password-reset token"])
def test_no_other_link_lets_in(client, operator, case):
    link = links.make(operator)
    uid = link.split("/")[2]
    if case == "inactive":
        operator.is_active = False
        operator.save()
    link = {
        "forged": f"{link[:-2]}{'a' if link[-2] != 'a' else 'b'}/",
        "nobody": link.replace(uid, "OTk5"),
        "garbage": "/login/%FF%00/…/",
        "a password-reset token": f"/login/{uid}/{default_token_generator.make_token(operator)}/",
    }.get(case, link)

    assert client.get(link).status_code == 410
    assert client.get("/").status_code == 302


def test_a_preview_does_not_use_a_link_up(client, operator):
    """Mail scanners and chats ask with HEAD first."""
    link = links.make(operator)
    assert Client().head(link).status_code == 405

    assert client.get(link).status_code == 302


def test_a_login_by_link_starts_a_fresh_session(client, operator):
    """A session that was planted before is worth nothing after."""
    client.get("/login/")
    client.session.save()
    planted = client.cookies.get("sessionid")

    client.get(links.make(operator))

    assert planted is None or client.cookies["sessionid"].value != planted.value
    assert client.cookies["sessionid"]["httponly"]


# --- the password ---------------------------------------------------------------------------------------------


def test_the_password_lets_in_and_out(client, operator):
    wanted = "/?page=1"
    answer = client.post(f"/login/?next={wanted}", {"username": "operator", "password": "long enough to pass"})

    assert answer.url == wanted
    assert client.post("/logout/").url == "/login/"
    assert client.get("/").status_code == 302


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(operator):
    """Nobody learns who has an account."""
    tries = [Client().post("/login/", {"username": name, "password": "x"}) for name in ("operator", "nobody")]
    pages_ = [re.sub(r'value="[^"]*"', "", answer.content.decode()) for answer in tries]

    assert pages_[0] == pages_[1]
    assert "Please enter a correct username and password" in pages_[0]


def test_guessing_is_stopped_and_other_addresses_still_come_in(operator, settings):
    settings.AXES_LOCKOUT_TEMPLATE = "paceline/locked.html"
    for _ in range(10):
        answer = Client().post("/login/", {"username": "operator", "password": "x"})
    right = {"username": "operator", "password": "long enough to pass"}

    assert (answer.status_code, b"Too many tries" in answer.content) == (429, True)
    assert Client().post("/login/", right).status_code == 429
    assert Client(REMOTE_ADDR="192.0.2.7").post("/login/", right).status_code == 302


# --- the list -------------------------------------------------------------------------------------------------


def test_the_empty_list_says_how_to_begin(browser):
    assert "paceline campaign create" in browser.get("/").content.decode()


def test_the_list_has_the_newest_first_fifty_to_a_page(browser):
    for i in range(51):
        Campaign.objects.create(name=f"Number {i}", text="Hi")

    first, second = (re.findall(r"Number \d+", browser.get(url).content.decode()) for url in ("/", "/?page=2"))

    assert (first[0], len(first), second) == ("Number 50", 50, ["Number 0"])
    assert browser.get("/?page=nonsense").status_code == 200


def test_a_row_says_how_far_how_fast_and_until_when(browser, running):
    row = browser.get("/").content.decode()

    for word in ("Opening night", "Running", "12<span", "/ 20", "/s</td>", "in 2 s"):
        assert word in row, word


def test_a_page_of_ended_campaigns_costs_the_same_as_one(browser, running, django_assert_max_num_queries):
    """The list is polled: ended campaigns share one query."""
    for _ in range(20):
        ended = Campaign.objects.create(name="Ended", text="Hi", state="finished", fanned_out=True)
        TextMessage.objects.create(campaign=ended, to="+12025550190", frm="+12025550101", status=Status.DELIVERED)

    with django_assert_max_num_queries(16):
        browser.get("/", headers={"HX-Request": "true"})


def test_ended_campaigns_are_counted_as_when_they_ran(running):
    """The list's short way and the long way agree."""
    campaigns.cancel(running)
    (short,), long = progress.overview([running]), progress.of(running)

    assert (short.counts, short.total, short.waiting, short.submitted, short.done) == (
        long.counts,
        long.total,
        long.waiting,
        long.submitted,
        long.done,
    )


# --- a campaign -----------------------------------------------------------------------------------------------


def test_every_recipient_is_in_exactly_one_group(running):
    """The legend's counts add up, whatever the statuses."""
    for message, status in zip(running.messages.all(), Status, strict=False):
        TextMessage.objects.filter(pk=message.pk).update(status=status)
    account = progress.of(running)
    received = account.counts.get(Status.RECEIVED, 0)  # a word for inbound texts, which no campaign has

    assert sum(group.count for group in pages.groups(account)) == account.total - received == 19


def test_uncertain_is_explained(browser, running):
    assert (
        "may or may not have it. Never resent by itself" in browser.get(address("campaign", running)).content.decode()
    )


def test_a_poll_gets_the_live_part_alone(browser, running):
    page = browser.get(address("campaign", running)).content.decode()
    part = browser.get(address("campaign", running), headers={"HX-Request": "true"}).content.decode()

    assert part.lstrip().startswith('<div id="live"') and "<html" not in part
    assert page.count('id="live"') == 1 and "<noscript>" in page


@pytest.mark.parametrize(
    ("state", "status", "ended_ago", "trigger"),
    [
        ("running", Status.QUEUED, None, "every 2s"),
        ("paused", Status.QUEUED, None, "every 2s"),
        ("finished", Status.ACCEPTED, timedelta(minutes=5), "every 10s"),
        ("finished", Status.UNCERTAIN, timedelta(minutes=5), "every 10s"),
        ("finished", Status.DELIVERED, timedelta(minutes=5), None),
        ("finished", Status.ACCEPTED, timedelta(days=4), None),
        ("cancelled", Status.SUBMITTING, timedelta(minutes=5), "every 2s"),
        ("cancelled", Status.CANCELLED, timedelta(minutes=5), None),
    ],
)
def test_polling_slows_with_the_campaign_and_ends_with_its_reports(browser, running, state, status, ended_ago, trigger):
    ended = timezone.now() - ended_ago if ended_ago else None
    running.messages.update(status=status)
    Campaign.objects.filter(pk=running.pk).update(state=state, finished_at=ended)

    part = browser.get(address("campaign", running), headers={"HX-Request": "true"}).content.decode()

    found = re.search(r'hx-trigger="([^"]*)"', part)
    assert (found and found[1]) == trigger
    assert ("hx-get" in part) == bool(trigger), "without a trigger htmx would ask at every click"


class Markup(HTMLParser):
    """Which elements a page has, and which attributes on them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.kinds: set[tuple[str, ...]] = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.kinds.add((tag, *sorted(name for name, _ in attrs)))


def test_what_people_type_is_shown_and_never_run(browser):
    """Names, texts, a sender's trouble: hostile ones make no element or attribute that harmless ones do not."""
    campaign = stage.opening_night(guests=5, gone=3)

    def markup(typed: str) -> set[tuple[str, ...]]:
        Campaign.objects.filter(pk=campaign.pk).update(name=typed[:120], text=typed)
        Sender.objects.update(blocked=typed)
        return set.union(*(Markup(browser.get(url).content.decode()).kinds for url in ("/", page)))

    page = address("campaign", campaign)
    harmless = markup("Harmless, with {{ a_field }} and `code`")
    for payload in PAYLOADS:
        assert markup(payload) <= harmless, payload


def test_a_draft_can_be_launched_when_nothing_stands_in_the_way(browser):
    draft = stage.opening_night_draft(guests=3)
    assert 'id="launch-yes"' in browser.get(address("campaign", draft)).content.decode()

    browser.post(address("campaign-launch", draft))

    assert state_of(draft) == "running"


def test_a_draft_that_cannot_be_launched_says_why(browser):
    draft = stage.opening_night_draft(guests=3)
    for sender in senders.active():
        senders.remove(sender)

    html = browser.get(address("campaign", draft)).content.decode()
    answer = browser.post(address("campaign-launch", draft), follow=True).content.decode()

    assert 'id="launch-yes"' not in html
    assert "add one with <code>paceline sender add NUMBER</code>" in html and "notice-error" in answer
    assert state_of(draft) == "draft"


def test_pause_resume_and_cancel(browser, running):
    for button, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        answer = browser.post(address(f"campaign-{button}", running))

        assert (answer.url, state_of(running)) == (address("campaign", running), state)
    assert not running.messages.filter(status__in=[Status.HELD, Status.QUEUED]).exists()


@pytest.mark.parametrize(("state", "button"), [("paused", "pause"), ("running", "resume"), ("finished", "cancel")])
def test_a_button_that_comes_too_late_is_answered_with_a_sentence(browser, running, state, button):
    Campaign.objects.filter(pk=running.pk).update(state=state)

    answer = browser.post(address(f"campaign-{button}", running), follow=True)

    assert answer.status_code == 200
    assert f"Campaign {running.pk} is {state}; only a" in answer.content.decode()


def test_a_campaign_that_is_not_there_is_not_found(browser):
    assert browser.get("/campaigns/999/").status_code == 404
    assert browser.post("/campaigns/999/pause/").status_code == 404


def test_the_pace_changes_while_it_runs_and_nothing_else_does(browser, running):
    """Fields that the form does not have are not read."""
    browser.post(address("campaign-pace", running), {"batch_size": "7", "delay_period": "90", "state": "finished"})

    running.refresh_from_db()
    assert (running.batch_size, running.delay_period, running.state) == (7, 90, "running")


@pytest.mark.parametrize(
    ("batch_size", "delay_period", "status"),
    [("0", "1", 422), ("-3", "1", 422), ("x", "1", 422), ("5", "-1", 422), ("5", "inf", 422), ("5", "", 422)],
)
def test_a_pace_that_cannot_be_is_refused_beside_its_field(browser, running, batch_size, delay_period, status):
    form = {"batch_size": batch_size, "delay_period": delay_period}
    answer = browser.post(address("campaign-pace", running), form)

    running.refresh_from_db()
    assert (answer.status_code, running.batch_size, running.delay_period) == (status, None, 0)
    assert "field-error" in answer.content.decode()


def test_a_delay_of_more_than_a_year_is_answered_by_the_verb(browser, running):
    form = {"batch_size": "", "delay_period": "99999999"}

    assert "a year at the most" in browser.post(address("campaign-pace", running), form, follow=True).content.decode()


# --- where texts go -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "kind", "label"),
    [
        ("nothing known://", "none", "No provider"),
        ("console:", "local", "Console"),
        ("vonage+http://k:s@127.0.0.1:9001", "demo", "Demo carrier"),
        ("twilio+http://AC00000000000000000000000000000001:t@[::1]:9001", "demo", "Demo carrier"),
        ("vonage+http://k:s@localhost:9001", "demo", "Demo carrier"),
        ("vonage://k:s@127.0.0.1.example.com", "live", "Live"),
        ("vonage://k:s@", "live", "Live"),
        ("smspm://h:t@?style=classic", "live", "Live"),
    ],
)
def test_the_badge_says_where_texts_go(provider, kind, label, rf, settings):
    """Whatever is not known to stay on this machine is live."""
    settings.PACELINE = {"PROVIDERS": {"default": provider}}
    found = context.environment(rf.get("/"))["environment"]

    assert (found.kind, found.label) == (kind, label)


# --- what holds it back ---------------------------------------------------------------------------------------


def test_throughput_counts_every_whole_second(running):
    now = 1_000_000.5
    seconds = [999_999.0, 999_999.99, 999_997.2, 1_000_000.1, 999_989.9]
    for message, at in zip(running.messages.order_by("pk"), seconds, strict=False):
        TextMessage.objects.filter(pk=message.pk).update(submitted_at=at)

    series = progress.throughput(running, 10, now=now)

    assert [second for second, _ in series] == list(range(999_990, 1_000_000))
    assert {second: count for second, count in series if count} == {999_999: 2, 999_997: 1}


def brakes(campaign: Campaign) -> str:
    campaign.refresh_from_db()
    return " ".join(progress.brakes(campaign, progress.of(campaign)))


def test_the_reason_for_the_pace_is_said_in_words(running):
    """At the limit, paused, blocked, capped, slowed, resting: one sentence each."""
    first = Sender.objects.order_by("pk").first()
    lane = Sender.objects.filter(pk=first.pk)
    now = time.time()
    cases = [
        ({"blocked": "number not owned"}, {"blocked": ""}, "+12025550101 is blocked: number not owned"),
        ({"daily_cap": 3, "capped_on": lanes.day(now), "capped_count": 3}, {"daily_cap": None}, "its 3 of today"),
        ({"slowdown": 0.7, "slowed_at": now}, {"slowdown": 1.0}, "at 70 % of its rate"),
        ({"backoff_until": now + 40}, {"backoff_until": 0}, "rests for"),
    ]
    for trouble, cure, sentence in cases:
        lane.update(**trouble)
        assert sentence in brakes(running)
        lane.update(**cure)

    Campaign.objects.filter(pk=running.pk).update(state="paused")
    assert "It is paused" in brakes(running)


def test_a_campaign_at_its_limit_says_so():
    campaign = stage.opening_night(guests=100, gone=60)

    assert brakes(campaign) == "It runs at its limit: 5 senders may send 5 a second."


def test_a_campaign_that_nobody_sends_asks_for_a_dispatcher(running):
    running.messages.filter(submitted_at__isnull=False).update(submitted_at=1.0)
    Campaign.objects.filter(pk=running.pk).update(started_at=timezone.now() - timedelta(minutes=1))

    assert "`paceline up` starts one" in brakes(running)


def test_waiting_for_the_next_tranche_names_the_wait():
    campaign = stage.opening_night(guests=20, gone=10, batch_size=10, delay_period=3600)

    opens_at = progress.next_tranche_at(campaign)

    assert 3590 < opens_at - time.time() < 3601
    assert re.search(r"The next 10 leave in (1 h|59 min \d+ s): tranches are 1 h apart", brakes(campaign))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7201, "2 h"),
        (7800, "2 h 10 min"),
        (86400, "1 day"),
        (273600, "3 days 4 h"),
    ],
)
def test_lengths_of_time_in_words(seconds, words):
    assert progress.in_words(seconds) == words


# --- drawings -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_a_bar_is_always_full_and_hides_nobody(counts):
    total = sum(counts) or 1
    widths = charts._widths([100 * count / total for count in counts])

    assert sum(widths) == pytest.approx(100 if sum(counts) else 0, abs=1e-6)
    for width, count in zip(widths, counts, strict=True):
        assert width >= charts.SLIVER_PERCENT - 1e-9 if count else width == 0


@given(st.floats(0.01, 1e9))
def test_a_scale_has_few_round_values(highest):
    values = list(charts.ticks(highest))

    assert len(values) <= 4
    assert all(0 < value <= highest for value in values)


def test_a_chart_without_texts_or_limit_is_still_a_chart():
    assert charts.throughput([(1, 0), (2, 0)], None).startswith("<svg")
    assert charts.gauge(3, None) == ""
