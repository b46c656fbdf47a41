"""Is the inbox live in a real browser, while somebody types, on a small screen, and without JavaScript?"""

from __future__ import annotations

import math
import os
from datetime import timedelta

import pytest
from django.utils import timezone

from paceline.messaging import conversations, rules
from paceline.messaging.models import BacklogSample, Campaign, Conversation, Sender, TextMessage

from . import stage
from .test_browser import LIVE_MS, chromium, enter, page, width, window

try:
    from playwright.sync_api import expect
except ImportError:
    expect = None

__all__ = ["chromium", "page", "window"]  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PARKING = "+12065550102"


@pytest.fixture
def answered() -> list[Conversation]:
    return stage.answered_night()


@pytest.fixture
def parking(answered) -> Conversation:
    return next(each for each in answered if each.number == PARKING)


def address(conversation: Conversation) -> str:
    return f"/inbox/{conversation.pk}/"


def writes(text: str, number: str = PARKING) -> Conversation:
    return stage.says(Sender.objects.get(), number, text)


def polled(page, times: int = 1) -> None:
    """Waits until at least that many polls of the live part have been swapped in."""
    page.evaluate(
        """(times) => {
            const { dataset } = document.documentElement;
            let swaps = 0;
            delete dataset.polled;
            document.addEventListener("htmx:after:swap", (event) => {
                if (event.target.id === "live" && ++swaps >= times) dataset.polled = "yes";
            });
        }""",
        times,
    )
    expect(page.locator("html[data-polled]")).to_have_count(1, timeout=LIVE_MS * times)


def test_a_reply_appears_while_somebody_types(parking, page):
    """Without a reload: the text, the count in the bar; what is half typed, its place and the focus stay."""
    page.goto(address(parking))
    page.evaluate("document.body.dataset.same = 'yes'")
    page.locator("#text").fill("Yes, behind the house")
    page.keyboard.press("ArrowLeft")
    polled(page)

    writes("And is it free?")
    expect(page.locator("#bubbles")).to_contain_text("And is it free?", timeout=LIVE_MS)
    polled(page, times=2)

    assert page.evaluate("[document.activeElement.id, document.activeElement.selectionStart]") == ["text", 20]
    expect(page.locator("#text")).to_have_value("Yes, behind the house")
    assert page.evaluate("document.body.dataset.same") == "yes"
    page.keyboard.press("Control+Enter")
    expect(page.locator(".notice[role=status]")).to_contain_text("On its way")
    parking.refresh_from_db()
    assert (parking.waiting_since, parking.unread) == (None, 0), "the text that came while they typed was seen"


def test_a_text_is_read_when_somebody_looks(parking, page):
    page.goto(address(parking))
    expect(page.locator("#new-line")).to_be_visible()

    expect(page.locator("#new-line")).to_have_count(0, timeout=2 * LIVE_MS)

    parking.refresh_from_db()
    assert parking.unread == 0 and parking.waiting_since is not None


def test_the_list_follows_and_what_is_ticked_stays_ticked(answered, page):
    page.goto("/inbox/")
    page.locator(f"#tick-{answered[0].pk}").check()
    expect(page.locator("#waiting-count")).to_contain_text("7")

    writes("Anybody there?", "+12065550104")  # the one that was put off

    expect(page.locator("#conversations")).to_contain_text("Anybody there?", timeout=LIVE_MS)
    expect(page.locator("#waiting-count")).to_contain_text("8")
    expect(page.locator(f"#tick-{answered[0].pk}")).to_be_checked()
    page.locator("#bulk-close").click()
    expect(page.locator(".notice[role=status]")).to_contain_text("1 conversation closed.")
    assert Conversation.objects.get(pk=answered[0].pk).state == "closed"


def test_the_first_to_write_can_be_ticked(page):
    """The list was empty when it was opened."""
    page.goto("/inbox/")
    expect(page.locator("#bulk")).to_be_hidden()

    conversation = stage.answered_night()[0]
    page.locator(f"#tick-{conversation.pk}").check(timeout=LIVE_MS)
    page.locator("#bulk-optout-ask").click()
    polled(page)
    page.locator("#bulk-optout-yes").click()

    expect(page.locator(".notice[role=status]")).to_contain_text("1 person is marked as opted out")
    conversation.refresh_from_db()
    assert conversation.state == "closed"


def test_the_counter_counts_what_would_be_sent(parking, page):
    """A quick reply is spelled out beside the box; one that there is not is said so."""
    page.goto(address(parking))

    page.locator("#text").press_sequentially("/parking")
    expect(page.locator("#count")).to_contain_text("Hi Björn, there is parking behind the house")
    expect(page.locator("#count")).to_contain_text("1 segment · GSM-7")
    page.locator("#text").fill("/nothing")
    expect(page.locator("#count")).to_contain_text("There is no quick reply /nothing")


def test_a_double_click_sends_once(parking, page):
    page.goto(address(parking))
    page.locator("#text").fill("Yes, there is")

    page.locator("#send").dblclick()

    expect(page.locator(".notice[role=status]")).to_contain_text("On its way")
    assert TextMessage.objects.filter(text="Yes, there is").count() == 1


def test_an_opt_out_while_somebody_types_takes_the_button_and_leaves_the_words(parking, page):
    page.goto(address(parking))
    page.locator("#text").fill("Half a sentence")

    conversations.suppressions.add(PARKING, evidence="said so on the phone")

    expect(page.locator("#stopped")).to_contain_text("said so on the phone", timeout=LIVE_MS)
    expect(page.locator("#send")).to_be_disabled()
    expect(page.locator("#text")).to_have_value("Half a sentence")


def test_the_side_column_follows_while_somebody_types_a_note(parking, page):
    """Another takes it over, tags, notes, opts them out: seen without a reload; what is typed stays."""
    page.goto(address(parking))
    page.evaluate("document.body.dataset.same = 'yes'")
    page.locator("#optout-ask").click()
    page.locator("#note-text").fill("Asked the careta")
    polled(page)
    expect(page.locator("#optout-yes")).to_be_visible()

    conversations.assign(parking, "marta", taking_from="operator")
    rules.tag(parking.contact, "vip")
    conversations.note(parking, "Twelve places are free", "marta")

    expect(page.locator("#fact-assignee")).to_have_text("marta", timeout=LIVE_MS)
    expect(page.locator("#fact-tags")).to_have_text("vip")
    expect(page.locator("#fact-notes")).to_have_text("1")
    expect(page.locator("#bubbles")).to_contain_text("Twelve places are free")
    page.keyboard.type("ker")
    conversations.suppressions.add(PARKING)
    expect(page.locator("#optout-ask")).to_have_count(0, timeout=LIVE_MS)
    assert page.evaluate("[document.activeElement.id, document.activeElement.value]") == [
        "note-text",
        "Asked the caretaker",
    ]
    assert page.evaluate("document.body.dataset.same") == "yes"


def test_tomorrow_is_the_viewers_tomorrow(parking, window):
    """9:00 in Tokyo is midnight UTC."""
    page = window(timezone_id="Asia/Tokyo")
    enter(page)
    page.goto(address(parking))
    polled(page)

    page.locator("#snooze-ask").click()
    page.locator("#snooze-tomorrow").click()

    expect(page.locator("h1")).to_have_text("Inbox")
    parking.refresh_from_db()
    assert (parking.state, parking.snoozed_until.hour, parking.snoozed_until.minute) == ("snoozed", 0, 0)


def test_without_javascript_a_team_gets_through(parking, window):
    page = window(java_script_enabled=False)
    enter(page)
    page.get_by_role("link", name="Inbox").click()
    page.get_by_role("link", name="Björn").click()

    page.locator("#quick summary").click()
    page.get_by_role("button", name="/parking").click()
    expect(page.locator("#text")).to_have_value("Hi Björn, there is parking behind the house, on 4th Street.")
    page.locator("#send-close").click()

    expect(page.locator(".notice[role=status]")).to_contain_text("Sent, and closed.")
    parking.refresh_from_db()
    assert parking.state == "closed"


def test_a_double_click_without_javascript_notes_once(parking, window):
    page = window(java_script_enabled=False)
    enter(page)
    page.goto(address(parking))
    page.locator("#note-text").fill("Asked the caretaker")

    page.locator("#keep-note").dblclick()

    expect(page.locator(".notice[role=status]").first).to_contain_text("Noted")
    assert [note.text for note in parking.notes.all()] == ["Asked the caretaker"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_at_360_pixels(answered, window, scheme, tmp_path):
    long = "Averylongwordwithoutanyspaces" * 9
    writes(long)
    conversations.note(answered[1], long, "a.person.with.a.very.long.name@mail.example")
    conversations.assign(answered[1], long[:200], taking_from="operator")
    page = window(360, 740, color_scheme=scheme)
    enter(page)

    for url in ("/inbox/", "/inbox/?show=closed", address(answered[1]), address(answered[6])):
        page.goto(url)
        assert width(page) == 360, url
        page.screenshot(path=tmp_path / f"{scheme}{url.replace('/', '-')}.png", full_page=True)


def test_in_the_dark_on_a_phone_the_line_and_what_is_over_it_stand_out(campaign_that_listens, window, tmp_path):
    """Red where it is over, a line that is not red on red, numbers before the curve, and nothing cut off."""
    red, ink, card = "rgb(240, 119, 108)", "rgb(233, 236, 236)", "rgb(26, 32, 36)"
    Campaign.objects.filter(pk=campaign_that_listens.pk).update(reply_line=5)
    page = window(360, 740, color_scheme="dark")
    enter(page)

    page.goto(f"/campaigns/{campaign_that_listens.pk}/")
    assert width(page) == 360
    expect(page.locator("#listening strong.over")).to_have_css("color", red)
    expect(page.locator("#listening .chart-curve text").first).to_have_css("stroke", card)
    page.locator("#listening").screenshot(path=tmp_path / "listening.png")
    page.goto("/inbox/")

    expect(page.locator("#backlog dd.over")).to_have_css("color", red)
    expect(page.locator(".backlog-bar .chart-limit")).to_have_css("stroke", ink)
    expect(page.locator(".backlog-bar .fill-undelivered")).to_have_css("fill", red)


def test_the_pictures_of_the_inbox(parking, window, root, tmp_path):
    """Taken every time; they replace those in docs/images only where PACELINE_SCREENSHOTS asks for it."""
    folder = root / "docs/images" if "PACELINE_SCREENSHOTS" in os.environ else tmp_path
    page = window(1280, 900, device_scale_factor=1.5, color_scheme="light")
    enter(page)
    Campaign.objects.create(name="Breakfast", text="Hi", state="running", reply_line=12)
    page.goto("/inbox/")
    page.screenshot(path=folder / "inbox.png")
    conversations.note(parking, "Asked the caretaker: 12 places are free", "marta")
    page.goto(address(parking))
    page.locator("#text").press_sequentially("/parking See you at 7!")
    expect(page.locator("#count")).to_contain_text("1 segment")

    page.screenshot(path=folder / "thread.png")

    assert (folder / "thread.png").stat().st_size > 50_000


def test_the_picture_of_a_campaign_that_listens(campaign_that_listens, window, root, tmp_path):
    folder = root / "docs/images" if "PACELINE_SCREENSHOTS" in os.environ else tmp_path
    page = window(1280, 900, device_scale_factor=1.5, color_scheme="light")
    enter(page)
    page.goto(f"/campaigns/{campaign_that_listens.pk}/")
    expect(page.locator("#listening .chart-curve")).to_be_visible()

    page.locator("#listening").screenshot(path=folder / "listening.png")

    assert (folder / "listening.png").stat().st_size > 20_000


@pytest.fixture
def campaign_that_listens(answered) -> Campaign:
    """An hour of a campaign whose line is 60: it releases, the replies come, the team works them off."""
    campaign = Campaign.objects.create(name="Breakfast", text="Hi", state="running", reply_line=60, fanned_out=True)
    begin = timezone.now() - timedelta(hours=1)
    Campaign.objects.filter(pk=campaign.pk).update(started_at=begin)
    rows, released = [], 0
    for i in range(360):
        backlog = min(60, round(57 * (1 - math.exp(-i / 40)) + 3 * math.sin(i / 9)))
        released += 400 if i == 0 else 12 if i % 3 == 0 and backlog < 58 else 0
        rows.append(BacklogSample(at=begin + timedelta(seconds=10 * i), released=released, backlog=max(backlog, 0)))
    for row in rows:
        row.campaign, row.line = campaign, 60
    BacklogSample.objects.bulk_create(rows)
    return campaign
