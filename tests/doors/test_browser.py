"""Does it work in a real browser, live, by keyboard, on a small screen, and without JavaScript?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paceline.dashboard import links
from paceline.messaging.models import Campaign
from paceline.sms.status import Status
from tests.conftest import need

from . import stage

try:
    from playwright.sync_api import Page, expect, sync_playwright
except ImportError:
    sync_playwright = None

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LIVE_MS = 5000  # what changes in the database is on the page within this time


@pytest.fixture(scope="module")
def chromium():
    for there, what in ((sync_playwright, "playwright"), (Path(CHROMIUM).exists(), CHROMIUM)):
        if not there and os.environ.get("PACELINE_REQUIRE_BROWSER"):
            pytest.fail(f"{what} is required here (PACELINE_REQUIRE_BROWSER is set)")
        need(there, what)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright runs an event loop in this thread
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def window(chromium, live_server, settings):
    """Opens a page on the server; at the end, no policy was violated and nothing was logged as an error."""
    vonage = {"api_key": "key", "api_secret": "secret", "base_url": "http://127.0.0.1:9"}
    demo = {"BACKEND": "paceline.sms.providers.vonage.Vonage", "OPTIONS": vonage}
    settings.PACELINE = {"PROVIDERS": {"default": demo}, "REGION": "US"}
    complaints: list[str] = []
    contexts = []

    def opened(width: int = 1280, height: int = 900, **options) -> Page:
        context = chromium.new_context(
            base_url=live_server.url, viewport={"width": width, "height": height}, locale="en-GB", **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.complaints = complaints
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def page(window):
    """A page that is logged in by the one-time link."""
    page = window()
    enter(page)
    return page


@pytest.fixture
def campaign():
    return stage.opening_night()


def enter(page: Page) -> None:
    page.goto(links.make(stage.operator()))


def address(campaign: Campaign) -> str:
    return f"/campaigns/{campaign.pk}/"


def polled(page: Page, times: int = 1) -> None:
    """Waits until that many polls have been swapped in."""
    page.evaluate(
        """() => {
            const { dataset } = document.documentElement;
            dataset.swaps = 0;
            document.addEventListener("htmx:after:swap", () => ++dataset.swaps);
        }"""
    )
    expect(page.locator(f"html[data-swaps='{times}']")).to_have_count(1, timeout=LIVE_MS * times)


def test_from_the_link_to_the_campaign(campaign, page):
    page.get_by_role("link", name="Opening night").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("Opening night")
    expect(page.locator(".environment")).to_contain_text("Demo carrier")
    expect(page.locator("#group-uncertain .legend-count")).to_have_text("1")


def test_a_change_in_the_database_is_on_both_pages_without_a_reload(campaign, page):
    """Messages move, the pages follow; what was there before is still the same element."""
    other = page.context.new_page()
    other.goto("/")
    page.goto(address(campaign))
    for each in (page, other):
        each.evaluate("document.body.dataset.same = 'yes'")

    campaign.messages.filter(status=Status.QUEUED).update(status=Status.DELIVERED)
    delivered = campaign.messages.filter(status=Status.DELIVERED).count()

    expect(page.locator("#group-delivered .legend-count")).to_have_text(str(delivered), timeout=LIVE_MS)
    expect(page.locator(".figure-main dd")).to_have_text("724 of 724", timeout=LIVE_MS)
    expect(other.locator(f"#campaign-{campaign.pk}")).to_contain_text("724 / 724", timeout=LIVE_MS)
    for each in (page, other):
        assert each.evaluate("document.body.dataset.same") == "yes"


def test_a_campaign_made_elsewhere_appears(page):
    """The empty page is live too."""
    expect(page.locator(".empty")).to_contain_text("paceline campaign create")

    stage.opening_night_draft(guests=3)

    expect(page.get_by_role("link", name="Opening night")).to_be_visible(timeout=LIVE_MS)


def test_pause_resume_cancel(campaign, page):
    """Each button does its work, and what cannot be undone asks first."""
    page.goto(address(campaign))
    badge, notice = page.locator("h1 .badge"), page.locator(".notice[role=status]")

    page.get_by_role("button", name="Pause").click()
    expect(badge).to_have_text("Paused")
    expect(notice).to_contain_text("Paused.")

    page.get_by_role("button", name="Resume").click()
    expect(badge).to_have_text("Running")

    expect(page.locator("#cancel-yes")).to_be_hidden()
    page.locator("#cancel-ask").click()
    polled(page)
    page.get_by_role("button", name="Cancel the rest").click()
    expect(badge).to_have_text("Cancelled")
    assert campaign.messages.filter(status=Status.CANCELLED).count() == 301
    expect(page.locator("#buttons button")).to_have_count(0)


def test_launch_from_the_page(page):
    draft = stage.opening_night_draft(guests=3)
    page.goto(address(draft))

    page.locator("#launch-ask").click()
    expect(page.locator("#launch-form")).to_contain_text("Text 3 people? Texts go to a simulated carrier")
    page.locator("#launch-yes").click()

    expect(page.locator("h1 .badge")).to_have_text("Running")


def test_a_poll_disturbs_nobody(campaign, page):
    """Focus stays where it is, what is typed stays typed, what is open stays open."""
    page.goto(address(campaign))
    page.locator("#throughput-table summary").click()
    page.locator("#id_batch_size").fill("25")
    while page.evaluate("document.activeElement.id") != "pause":
        page.keyboard.press("Shift+Tab")
    page.evaluate("document.activeElement.mark = 'same element'")

    campaign.messages.filter(status=Status.QUEUED).update(status=Status.SENT)
    polled(page, times=2)

    assert page.evaluate("[document.activeElement.id, document.activeElement.mark]") == ["pause", "same element"]
    expect(page.locator("#id_batch_size")).to_have_value("25")
    expect(page.locator("#throughput-table table")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("h1 .badge")).to_have_text("Paused")


def test_the_pace_changes_from_the_page(campaign, page):
    page.goto(address(campaign))

    page.get_by_label("Recipients per tranche").fill("25")
    page.get_by_label("Seconds between tranches").fill("600")
    page.get_by_role("button", name="Change the pace").click()

    expect(page.locator("#facts")).to_contain_text("25 at a time, 10 min apart")


def test_polling_ends_with_the_last_report(campaign, page):
    """A page that is left open asks for nothing when nothing can change."""
    page.goto(address(campaign))
    campaign.messages.update(status=Status.DELIVERED)
    Campaign.objects.filter(pk=campaign.pk).update(state="finished", finished_at=campaign.started_at)
    expect(page.locator("h1 .badge")).to_have_text("Finished", timeout=LIVE_MS)

    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("h1").click()
    page.wait_for_timeout(2500)

    assert asked == []


def test_the_end_of_a_session_leads_to_the_login_page(campaign, page):
    page.goto(address(campaign))

    page.context.clear_cookies()

    page.wait_for_url("**/login/?next=**", timeout=LIVE_MS)


@pytest.mark.parametrize("trouble", ["no answer", "an error page"])
def test_a_server_in_trouble_is_said_so(campaign, page, trouble):
    """The figures stay, with a word that they stand still; when it answers again the word goes."""
    page.goto(address(campaign))
    answer = {
        "no answer": lambda route: route.abort(),
        "an error page": lambda route: route.fulfill(status=503, body="<h1>Broken</h1>"),
    }
    page.route(f"**{address(campaign)}", answer[trouble])
    expect(page.locator("#stale")).to_be_visible(timeout=LIVE_MS)
    expect(page.locator(".figure-main dd")).to_have_text("423 of 724")

    page.unroute(f"**{address(campaign)}")

    expect(page.locator("#stale")).to_be_hidden(timeout=LIVE_MS)
    expected = ("ERR_FAILED", "503", "Failed to fetch")
    assert all(any(word in line for word in expected) for line in page.complaints), page.complaints
    page.complaints.clear()


def test_a_moment_is_in_the_viewers_zone(campaign, window):
    """21:30 UTC is the next morning in Tokyo; what is shown stays so after a poll."""
    Campaign.objects.filter(pk=campaign.pk).update(created_at="2026-11-20T21:30:00Z")
    page = window(timezone_id="Asia/Tokyo")
    enter(page)
    page.goto(address(campaign))
    polled(page)

    expect(page.locator("#facts time").first).to_have_text("21 Nov, 06:30")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_at_360_pixels(campaign, window, scheme):
    Campaign.objects.filter(pk=campaign.pk).update(name="Averylongnamewithoutanyspacesthatsomebodypasted" * 2)
    page = window(360, 740, color_scheme=scheme)
    page.goto("/login/")
    assert width(page) == 360
    enter(page)
    for url in ("/", address(campaign), "/login/MQ/used-up/"):
        page.goto(url)
        assert width(page) == 360, url
    page.complaints[:] = [line for line in page.complaints if "410" not in line]


def width(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth")


def test_without_javascript_pages_render_and_buttons_work(campaign, window):
    page = window(java_script_enabled=False)
    enter(page)
    page.get_by_role("link", name="Opening night").click()

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("h1 .badge")).to_have_text("Paused")
    page.locator("#cancel-ask").click()
    expect(page.locator("#cancel-yes")).to_be_visible()
    page.get_by_role("link", name="Refresh").click()
    expect(page.locator("h1")).to_contain_text("Opening night")


def test_the_watch_for_violations_sees_one(page):
    """An inline style, as a careless template would have it, is refused and noticed."""
    page.evaluate("document.body.setAttribute('style', 'color: red')")

    assert any("Content Security Policy" in line for line in page.complaints)
    page.complaints.clear()


def test_the_picture_of_the_readme(campaign, window, root, tmp_path):
    """Taken every time; it replaces the one in docs/images only where PACELINE_SCREENSHOTS asks for it."""
    folder = root / "docs/images" if "PACELINE_SCREENSHOTS" in os.environ else tmp_path
    page = window(1280, 1120, device_scale_factor=1.5, color_scheme="light")
    enter(page)
    stage.catch_up(campaign)
    page.goto(address(campaign))
    expect(page.locator("#pace-now")).to_contain_text("of 5/s allowed")

    page.screenshot(path=folder / "campaign.png")

    assert (folder / "campaign.png").stat().st_size > 50_000
