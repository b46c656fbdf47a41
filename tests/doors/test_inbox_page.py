"""What does a team see and press in the inbox, and what can nobody do by knowing an address?"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from paceline.dashboard import charts, desk, links
from paceline.messaging import conversations, outbox, rules, senders, suppressions
from paceline.messaging.models import (
    BacklogSample,
    Campaign,
    Contact,
    Conversation,
    Note,
    Sender,
    Suppression,
    TextMessage,
)

from . import stage
from .test_dashboard import PAYLOADS, Markup

pytestmark = pytest.mark.django_db

ADA, PARKING, DMITRI, ESRA, GRACE = (f"+1206555010{last}" for last in (1, 2, 4, 5, 7))
BUTTONS = ("reply", "note", "read", "assign", "release", "snooze", "close", "reopen")
POLL = {"HX-Request": "true"}


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
def answered() -> list[Conversation]:
    return stage.answered_night()


@pytest.fixture
def ada(answered) -> Conversation:
    """Open, nobody's, one text unread."""
    return answered[0]


def address(conversation: Conversation, button: str = "") -> str:
    return reverse(f"conversation-{button}" if button else "conversation", args=[conversation.pk])


def press(browser: Client, conversation: Conversation, button: str, **form: object) -> str:
    """Presses the button; what the page says then."""
    return browser.post(address(conversation, button), form, follow=True).content.decode()


def again(conversation: Conversation) -> Conversation:
    return Conversation.objects.get(pk=conversation.pk)


def of(number: str) -> Conversation:
    return Conversation.objects.get(number=number)


def listed(browser: Client, url: str) -> list[str]:
    """The numbers on the list, from the top."""
    return re.findall(r"Tick (\+\d+)", browser.get(url).content.decode())


def everything() -> list[object]:
    return [
        list(model.objects.order_by("pk").values())
        for model in (Conversation, TextMessage, Note, Suppression, Contact, Campaign)
    ]


# --- who may come in ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("button", BUTTONS)
def test_a_post_without_a_token_is_forbidden(operator, ada, button):
    """Another site cannot press a button."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator, backend=links.BACKEND)
    before = everything()

    assert browser.post(address(ada, button), {"text": "Hi", "note": "Hi"}).status_code == 403
    assert browser.post(reverse("inbox-bulk"), {"chosen": ada.pk, "do": "optout"}).status_code == 403
    assert everything() == before


@pytest.mark.parametrize("button", [*BUTTONS, "count"])
def test_a_stranger_is_sent_to_the_login_page(client, ada, button):
    before = everything()

    assert client.post(address(ada, button), {"text": "Hi", "note": "Hi"}).url == "/login/"
    assert client.post(reverse("inbox-bulk"), {"chosen": ada.pk, "do": "close"}).url == "/login/"
    assert client.get(address(ada)).url.startswith("/login/")
    assert everything() == before


@pytest.mark.parametrize("button", [*BUTTONS, "count"])
def test_get_presses_no_button(browser, ada, button):
    assert browser.get(address(ada, button)).status_code == 405
    assert browser.get(reverse("inbox-bulk")).status_code == 405


def test_looking_changes_nothing(browser, answered):
    """Neither a page nor a poll marks anything as read."""
    before = everything()

    for url in ("/inbox/", *(f"/inbox/?show={show}" for show in desk.FILTERS), *map(address, answered)):
        for headers in ({}, POLL):
            assert browser.get(url, headers=headers).status_code == 200

    assert everything() == before


def test_no_page_is_kept_by_a_cache_or_runs_what_is_not_ours(browser, ada):
    for url in ("/inbox/", address(ada)):
        answer = browser.get(url)
        html, policy = answer.content.decode(), answer.headers["Content-Security-Policy"]

        assert "no-store" in answer.headers["Cache-Control"]
        assert "script-src 'self'" in policy and "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", html)


# --- the list -------------------------------------------------------------------------------------------------


def test_the_empty_inbox_says_what_will_be_here(browser):
    html = browser.get("/inbox/").content.decode()

    assert "Nobody waits" in html and "paceline inbox list" in html


@pytest.mark.parametrize(
    ("show", "numbers"),
    [
        ("", [1, 2, 3, 5, 6, 7, 8]),
        ("waiting", [1, 2, 3, 5, 6, 7, 8]),
        ("mine", [2]),
        ("unassigned", [1, 3, 6, 7, 8]),
        ("snoozed", [4]),
        ("closed", []),
        ("<script>", [1, 2, 3, 5, 6, 7, 8]),
    ],
)
def test_each_filter_has_an_address(browser, answered, show, numbers):
    """Who waits longest first; what is no filter shows who waits."""
    assert listed(browser, f"/inbox/?show={show}") == [f"+1206555010{last}" for last in numbers]


def test_a_row_says_who_what_since_when_and_whose(browser, answered):
    html = browser.get("/inbox/").content.decode()

    for word in (
        *("Ada", "Running 20 minutes late", "answers Opening night", "waits 46 min"),
        *("marta", "Opted out", '<span class="unseen"> unread</span>'),
    ):
        assert word in html, word


def test_where_the_last_word_is_ours_nobody_waits(browser, ada):
    conversations.reply(ada, "No problem", "marta")
    html = browser.get("/inbox/").content.decode()

    assert listed(browser, "/inbox/")[-1] == ADA
    assert "<span>No problem</span>" in html and "answered</span>" in html


def test_the_bar_counts_who_waits_on_every_page(browser, answered):
    """Seven have written and got no answer; the one that was put off does not count."""
    for url in ("/", "/inbox/", address(answered[0])):
        assert 'class="tally">7<' in browser.get(url).content.decode(), url
    conversations.close_all([each.pk for each in answered])
    assert 'class="tally" hidden>0<' in browser.get("/").content.decode()


def test_a_page_of_conversations_costs_the_same_as_one(browser, answered, django_assert_max_num_queries):
    """The list is polled."""
    sender, campaign = Sender.objects.get(), Campaign.objects.get()
    for i in range(40):
        stage.answer(sender, campaign, f"+130555501{i:02}", "Ida", i, "Hello?")

    with django_assert_max_num_queries(18):
        assert browser.get("/inbox/", headers=POLL).content.count(b'class="tick"') == 47


def test_a_poll_gets_the_live_part_alone(browser, ada):
    for url in ("/inbox/", address(ada)):
        page = browser.get(url).content.decode()
        part = browser.get(url, headers=POLL).content.decode()

        assert part.lstrip().startswith('<div id="live"') and "<html" not in part
        assert page.count('id="live"') == 1 and "<noscript>" in page
        assert "hx-swap-oob" in part and "hx-swap-oob" not in page


def test_the_reply_form_stands_outside_of_what_is_polled(browser, ada):
    """So does the token, and so do the boxes' own words; what was seen stands inside."""
    part = browser.get(address(ada), headers=POLL).content.decode()

    assert "<textarea" not in part and 'name="once"' not in part
    assert f'name="seen" value="{desk._seen(conversations.thread(ada).entries)}" form="answer"' in part


def test_the_side_column_is_polled_with_the_thread(browser, ada):
    """Whose it is, its state, tags, notes, fields, an opt-out; the boxes that people type in are not."""
    conversations.assign(ada, "marta")
    rules.tag(ada.contact, "vip")
    conversations.note(ada, "Seat 12", "marta")

    part = browser.get(address(ada), headers=POLL).content.decode()

    facts = part[part.index('id="facts"') : part.index('id="optout-side"')]
    for words in ("Assigned</dd>", "marta</dd>", "vip</dd>", '"fact-notes">1<', "Ada</dd>", 'hx-swap-oob="outerMorph"'):
        assert words in facts, words
    assert 'id="optout-ask"' in part and 'id="note-text"' not in part
    suppressions.add(ADA)
    assert 'id="optout-ask"' not in browser.get(address(ada), headers=POLL).content.decode()


# --- the backlog against its line -----------------------------------------------------------------------------


def test_the_backlog_is_shown_against_the_lowest_line_of_what_runs(browser, answered):
    """A line of a campaign that does not run counts for nothing."""
    Campaign.objects.create(name="Wide", text="Hi", state="running", reply_line=60)
    Campaign.objects.create(name="Over", text="Hi", state="finished", reply_line=2)
    html = browser.get("/inbox/").content.decode()
    assert 'aria-label="8 conversations in the backlog; the line is 60"' in html
    assert "keeps it at or under 60" in html

    Campaign.objects.create(name="Narrow", text="Hi", state="running", reply_line=5)
    html = browser.get("/inbox/").content.decode()

    assert "the line is 5" in html and 'class="over"' in html and "fill-undelivered" in html


def test_without_a_line_there_is_no_gauge(browser, answered):
    assert "backlog-bar" not in browser.get("/inbox/").content.decode()
    assert charts.backlog(3, None) == ""


# --- a thread -------------------------------------------------------------------------------------------------


def test_a_thread_has_both_sides_notes_and_its_campaign(browser, ada):
    conversations.note(ada, "Seat 12", "marta")
    conversations.reply(ada, "No problem", "marta")
    html = browser.get(address(ada)).content.decode()

    places = [
        html.index(word)
        for word in ("Hi Ada, doors open", "Running 20 minutes late", "Seat 12", "No problem", 'id="answer"')
    ]
    assert places == sorted(places)
    assert "6 min 40 s after the text; 8 texts have" in html
    assert html.count("said-in") == 1 and html.count("said-note") == 1
    assert "queued" in html and "delivered" in html


def test_what_a_rule_has_sent_is_marked(browser, ada):
    """Beside its time, and nothing else is."""
    rules.add("Parking", "first_word", "parking", [{"do": "reply", "text": "Behind the house"}])
    stage.says(Sender.objects.get(), ADA, "Parking please")
    conversations.reply(ada, "See you", "marta")

    bubbles = re.findall(r'<li class="said said-out".*?</li>', browser.get(address(ada)).content.decode(), re.DOTALL)

    assert ["automatic" in bubble for bubble in bubbles] == [False, True, False]
    assert re.search(r"</time> · automatic", bubbles[1])


def test_a_long_thread_comes_in_pages(browser, ada):
    for i in range(60):
        conversations.note(ada, f"Note number {i}.")
    html = browser.get(address(ada)).content.decode()
    older = re.search(r'id="older" href="([^"]+)"', html)

    assert "Note number 59." in html and "Note number 9." not in html and older
    html = browser.get(address(ada) + older[1]).content.decode()
    assert "Note number 9." in html and "Running 20 minutes late" in html and 'id="older"' not in html


def test_a_conversation_that_is_not_there_is_not_found(browser):
    assert browser.get("/inbox/999/").status_code == 404
    assert browser.post("/inbox/999/close/").status_code == 404


def test_what_people_write_is_shown_and_never_run(browser, answered):
    """Texts, names, fields, notes, quick replies, evidence: hostile ones make no element that harmless ones do not."""
    first, stopped = answered[0], of(GRACE)

    def markup(said: str) -> set[tuple[str, ...]]:
        TextMessage.objects.update(text=said, reason=said[:200])
        Contact.objects.update(fields={"full_name": said, said: said})
        Campaign.objects.update(name=said[:120], text=said)
        Suppression.objects.update(evidence=said)
        Note.objects.all().delete()
        conversations.note(first, said, said)
        Conversation.objects.filter(pk=first.pk).update(assignee=said[:254], state="assigned")
        conversations.QuickReply.objects.update_or_create(shortcut="said", defaults={"text": said})
        pages = [browser.get(url) for url in ("/inbox/", address(first), address(stopped))]
        pages.append(browser.post(address(first, "reply"), {"text": said, "quick": "doors"}))
        pages.append(browser.post(address(first, "count"), {"text": f" {said}"}))
        return set.union(*(Markup(page.content.decode()).kinds for page in pages))

    harmless = markup("Harmless, with {{ a_field|default('x') }} and `code`") | markup("/said once") | markup("Plain")
    for payload in [*PAYLOADS, "</textarea><script>alert(1)</script>"]:
        assert markup(payload) <= harmless, payload


# --- a reply --------------------------------------------------------------------------------------------------


def test_a_reply_goes_out_ahead_of_bulk_from_the_number_they_know(browser, ada):
    assert "On its way" in press(browser, ada, "reply", text="No problem")

    message = TextMessage.objects.get(text="No problem")
    assert (message.frm, message.to, message.status) == (ada.ours, ADA, "queued")
    assert (message.priority, message.team_reply.author) == (outbox.PRIORITY_DIRECT, "operator")
    assert (again(ada).waiting_since, again(ada).state) == (None, "open")


def test_the_same_form_twice_sends_once(browser, ada):
    """A double click, or a reload of the answer: the same token. Another form is another text."""
    once = re.search(r'name="once" value="(\w{32})"', browser.get(address(ada)).content.decode())[1]
    for _ in range(3):
        assert "On its way" in press(browser, ada, "reply", text="No problem", once=once)
    assert TextMessage.objects.filter(text="No problem").count() == 1
    assert TextMessage.objects.get(text="No problem").reference == once

    press(browser, ada, "reply", text="No problem", once="f" * 32)
    press(browser, ada, "reply", text="No problem", once="no token")
    assert TextMessage.objects.filter(text="No problem").count() == 3


def test_a_quick_reply_is_spelled_out_by_the_server(browser, of_parking):
    press(browser, of_parking, "reply", text="/parking See you!")

    message = TextMessage.objects.get(text__contains="See you!")
    assert message.text == "Hi Björn, there is parking behind the house, on 4th Street. See you!"


@pytest.fixture
def of_parking(answered) -> Conversation:
    return of(PARKING)


def test_a_quick_reply_that_is_pressed_stands_in_the_box_and_is_not_sent(browser, of_parking):
    before = TextMessage.objects.count()

    html = press(browser, of_parking, "reply", text="See you!", quick="doors")

    box = re.search(r"<textarea[^>]*>([^<]*)</textarea>", html)
    assert box and box[1] == "The north and the south door are open; the south one has a ramp. See you!"
    assert "autofocus" in html and TextMessage.objects.count() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "The text is empty"), ("/nothing", "There is no quick reply /nothing"), ("x" * 9999, "over")],
)
def test_a_reply_that_cannot_be_is_refused_beside_its_box_and_stays_typed(browser, ada, text, words):
    answer = browser.post(address(ada, "reply"), {"text": text})

    html = answer.content.decode()
    assert answer.status_code == 422 and words in html
    assert f">{text}</textarea>" in html and not TextMessage.objects.filter(status="queued").exists()


def test_whoever_has_opted_out_gets_no_reply_and_the_page_says_why(browser, answered):
    grace = of(GRACE)
    html = browser.get(address(grace)).content.decode()
    assert "<fieldset disabled>" in html and "They have opted out" in html and "replied &#x27;stop&#x27;" in html

    answer = browser.post(address(grace, "reply"), {"text": "Come back"})

    assert answer.status_code == 422 and "it is suppressed" in answer.content.decode()
    assert not TextMessage.objects.filter(text="Come back").exists()
    assert "<fieldset>" in browser.get(address(answered[0])).content.decode()


def test_an_opt_out_from_another_number_of_ours_does_not_count_here(browser, ada):
    """A STOP to one sender alone: the thread with that sender is closed, this one is not."""
    suppressions.add(ADA, Suppression.Reason.OPT_OUT, "replied 'stop'", suppressions.Scope(sender="+12025550109"))
    assert "<fieldset>" in browser.get(address(ada)).content.decode()

    suppressions.add(ADA, Suppression.Reason.OPT_OUT, "replied 'stop'", suppressions.Scope(sender=ada.ours))
    assert "<fieldset disabled>" in browser.get(address(ada)).content.decode()
    assert browser.get("/inbox/").content.decode().count("Opted out</span>") == 2


def test_doubtful_words_are_said_to_be_doubtful(browser, ada):
    suppressions.add(ADA, Suppression.Reason.OPT_OUT, "replied 'not today'", needs_review=True)

    assert "may be an opt-out" in browser.get(address(ada)).content.decode()


def test_another_key_of_the_opt_outs_stops_replies_and_not_the_pages(browser, ada, settings):
    """Whom they forbid cannot be told: the pages stand, nothing leaves, and the reason is there."""
    settings.PACELINE = settings.PACELINE | {"OPTOUT_KEY": "another key, long enough"}

    assert browser.get("/inbox/").status_code == 200
    html = browser.get(address(ada)).content.decode()
    assert "<fieldset disabled>" in html and "made with another key" in html
    assert browser.post(address(ada, "reply"), {"text": "Hi"}).status_code == 422


def test_a_short_code_has_no_badge_and_no_box(browser, answered):
    """It is nobody who could opt out."""
    code = stage.says(Sender.objects.get(), "12345", "Your code")
    html = browser.get(address(code)).content.decode()

    assert "<fieldset disabled>" in html and "came from a short code" in html and "Opted out" not in html


def test_a_removed_sender_is_said_before_anybody_types(browser, ada):
    senders.remove(Sender.objects.get())

    html = browser.get(address(ada)).content.decode()

    assert "<fieldset disabled>" in html and "This sender has been removed" in html


def test_send_and_close_in_one_press(browser, ada):
    seen = ada.replies.get().message_id

    assert "Sent, and closed." in press(browser, ada, "reply", text="Done", then="close", seen=seen)
    assert again(ada).state == "closed"


def test_what_came_meanwhile_keeps_it_open_and_waiting(browser, ada):
    """The page showed the first text; a second one came before the button was pressed."""
    seen = ada.replies.get().message_id
    stage.says(Sender.objects.get(), ADA, "And my sister?")

    press(browser, ada, "reply", text="Done", then="close", seen=seen)
    assert (again(ada).state, again(ada).unread) == ("open", 1) and again(ada).waiting_since

    assert "may have written again" in press(browser, ada, "close", seen=seen)
    assert again(ada).state == "open"


def test_the_counter_counts_what_would_leave(browser, of_parking):
    """And changes nothing."""
    before = everything()

    def counted(text: str) -> str:
        return browser.post(address(of_parking, "count"), {"text": text}).content.decode()

    assert "1 segment · GSM-7 · 158 left" in counted("Hi")
    assert "2 segments · UCS-2" in counted("☺" * 71) and "makes it UCS-2" in counted("☺")
    assert "Hi Björn, there is parking" in counted("/parking")
    assert "There is no quick reply /x" in counted("/x")
    assert everything() == before


# --- buttons --------------------------------------------------------------------------------------------------


def test_assign_and_release(browser, ada):
    assert "It is yours." in press(browser, ada, "assign")
    assert (again(ada).state, again(ada).assignee) == ("assigned", "operator")

    press(browser, ada, "release")
    assert (again(ada).state, again(ada).assignee) == ("open", "")
    assert "Nobody had it" in press(browser, ada, "release")


def test_taking_over_says_from_whom(browser, answered):
    """Who has changed meanwhile keeps it."""
    esra = of(ESRA)
    assert "Take over" in browser.get(address(esra)).content.decode()
    assert "marta has it now" in press(browser, esra, "assign", taking_from="bob")
    assert again(esra).assignee == "marta"

    press(browser, esra, "assign", taking_from="marta")
    assert again(esra).assignee == "operator"


@pytest.mark.parametrize(
    ("form", "least", "most"),
    [({"until": "hour"}, 59, 61), ({"until": "tomorrow"}, 1, 33 * 60 + 1), ({}, 59, 61)],
)
def test_snooze(browser, ada, form, least, most):
    press(browser, ada, "snooze", **form)

    until = again(ada).snoozed_until
    assert timedelta(minutes=least) < until - timezone.now() < timedelta(minutes=most)
    if form.get("until") == "tomorrow":
        assert (until.hour, until.minute) == (9, 0)
    assert listed(browser, "/inbox/?show=snoozed")[0] in (ADA, DMITRI)


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("Asia/Tokyo", datetime(2026, 11, 21, 0, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 20, 14, tzinfo=UTC)),
        ("", datetime(2026, 11, 21, 9, tzinfo=UTC)),
        ("../../etc/passwd", datetime(2026, 11, 21, 9, tzinfo=UTC)),
        ("No/Where", datetime(2026, 11, 21, 9, tzinfo=UTC)),
        ("a\0b", datetime(2026, 11, 21, 9, tzinfo=UTC)),
    ],
)
def test_tomorrow_is_where_the_viewer_is(zone, at):
    """At 02:00 UTC it is still the evening before in New York."""
    now = datetime(2026, 11, 20, 2, tzinfo=UTC)

    assert desk.tomorrow(zone, now) == at


def test_close_and_reopen(browser, ada):
    assert "Closed; a text of theirs" in press(browser, ada, "close")
    assert again(ada).state == "closed" and ada.spells.get().closed_by == "operator"
    assert "Reopen" in browser.get(address(ada)).content.decode()

    press(browser, ada, "reopen")
    assert again(ada).state == "open"
    assert "open already" in press(browser, ada, "reopen")
    conversations.close(ada)
    assert "closed already" in press(browser, ada, "snooze")


def test_a_note_is_kept_and_an_empty_one_is_not(browser, ada):
    press(browser, ada, "note", note="Seat 12")
    assert "The note is empty" in press(browser, ada, "note", note=" ")

    assert [(each.text, each.author) for each in ada.notes.all()] == [("Seat 12", "operator")]


def test_the_same_note_form_twice_keeps_one_note(browser, ada):
    """A double click without JavaScript. Another form is another note, also in the same words."""
    html = browser.get(address(ada)).content.decode()
    tokens = re.findall(r'name="once" value="(\w{32})"', html[html.index('id="note"') :])
    for _ in range(3):
        assert "Noted" in press(browser, ada, "note", note="Seat 12", once=tokens[0])
    assert (len(tokens), ada.notes.count()) == (1, 1)

    press(browser, ada, "note", note="Seat 12", once="f" * 32)
    press(browser, of(PARKING), "note", note="Seat 12", once="f" * 32)
    press(browser, ada, "note", note="Seat 12", once="no token")
    assert (ada.notes.count(), Note.objects.count()) == (3, 4)


def test_read_is_what_the_page_has_shown(browser, ada):
    seen = ada.replies.get().message_id
    stage.says(Sender.objects.get(), ADA, "And my sister?")

    assert browser.post(address(ada, "read"), {"seen": seen}, headers=POLL).status_code == 204
    assert (again(ada).unread, again(ada).state) == (1, "open")
    html = browser.get(address(ada)).content.decode()
    assert html.index('id="new-line"') > html.index("Running 20 minutes late")

    press(browser, ada, "read")
    assert again(ada).unread == 0


# --- many at once ---------------------------------------------------------------------------------------------


def test_those_that_are_ticked_are_closed(browser, answered):
    chosen = [answered[0].pk, answered[1].pk]

    answer = browser.post(
        reverse("inbox-bulk"), {"chosen": [*chosen, "x", "-1", "9" * 40], "do": "close", "show": "mine"}
    )

    assert answer.url == "/inbox/?show=mine"
    assert set(Conversation.objects.filter(state="closed").values_list("pk", flat=True)) == set(chosen)
    assert Suppression.objects.count() == 1


def test_what_was_ticked_and_has_written_again_stays_open(browser, answered):
    """A row stands for what it showed when the button was pressed."""
    ticks = re.findall(r'name="chosen" value="([^"]+)"', browser.get("/inbox/").content.decode())
    stage.says(Sender.objects.get(), ADA, "And my sister?")

    html = browser.post(reverse("inbox-bulk"), {"chosen": ticks, "do": "close"}, follow=True).content.decode()

    assert "6 conversations closed. 1 stays open: they have written again." in html
    assert (of(ADA).state, of(ADA).unread) == ("open", 2)


def test_those_that_are_ticked_are_opted_out(browser, answered):
    """With who did it as evidence; a short code is nobody to suppress."""
    code = stage.says(Sender.objects.get(), "12345", "Your code")
    chosen = [answered[0].pk, of(GRACE).pk, code.pk]

    html = browser.post(reverse("inbox-bulk"), {"chosen": chosen, "do": "optout"}, follow=True).content.decode()

    assert "1 person is marked as opted out" in html, "one of them had opted out before"
    assert suppressions.among([ADA, GRACE, PARKING]) == {ADA, GRACE}
    assert Suppression.objects.get(number=ADA).evidence == "marked as opted out in the inbox by operator"
    assert set(Conversation.objects.filter(pk__in=chosen).values_list("state", flat=True)) == {"closed"}


@pytest.mark.parametrize("form", [{}, {"do": "close"}, {"chosen": "999", "do": "optout"}])
def test_nothing_ticked_is_said(browser, answered, form):
    html = browser.post(reverse("inbox-bulk"), form, follow=True).content.decode()

    assert "Nothing was ticked" in html and Suppression.objects.count() == 1


def test_an_unknown_deed_is_none(browser, ada):
    before = everything()

    browser.post(reverse("inbox-bulk"), {"chosen": ada.pk, "do": "delete"})

    assert everything() == before


# --- the curve of a campaign that listens ---------------------------------------------------------------------


def sampled(campaign: Campaign, backlogs: list[int], line: int = 60) -> None:
    start = timezone.now() - timedelta(seconds=10 * len(backlogs))
    BacklogSample.objects.bulk_create(
        BacklogSample(
            campaign=campaign, at=start + timedelta(seconds=10 * i), released=10 * i, backlog=backlog, line=line
        )
        for i, backlog in enumerate(backlogs)
    )


def test_a_campaign_that_listens_shows_its_curve_and_the_same_as_a_table(browser, answered):
    campaign = Campaign.objects.create(name="Listens", text="Hi", state="running", reply_line=60)
    assert "is drawn here as soon as" in browser.get(reverse("campaign", args=[campaign.pk])).content.decode()
    sampled(campaign, [0, 5, 58, 41])

    html = browser.get(reverse("campaign", args=[campaign.pk])).content.decode()

    assert 'aria-label="30 released; the backlog was 58 at the most and is 41; its line is 60"' in html
    assert "line 60</text>" in html and "of 60 conversations open" in html
    table = html[html.index('id="curve-table"') :]
    assert table.index(">41</td>") < table.index(">58</td>"), "the newest first"


def test_a_campaign_that_does_not_listen_has_no_curve(browser, answered):
    campaign = Campaign.objects.create(name="Deaf", text="Hi", state="running")

    assert 'id="listening"' not in browser.get(reverse("campaign", args=[campaign.pk])).content.decode()


def _samples(backlogs: list[int]) -> list[BacklogSample]:
    begin = datetime(2026, 11, 20, 12, tzinfo=UTC)
    return [
        BacklogSample(at=begin + timedelta(seconds=i), released=i, backlog=backlog, line=60)
        for i, backlog in enumerate(backlogs)
    ]


@given(st.lists(st.integers(0, 500), min_size=2, max_size=3000))
@example([*[0] * 1000, 500, *[0] * 1000])
def test_a_thinned_curve_keeps_its_peak_its_order_and_its_end(backlogs):
    samples = _samples(backlogs)
    shown = charts.thinned(samples)

    assert len(shown) <= charts.CURVE_POINTS
    assert max(each.backlog for each in shown) == max(backlogs)
    assert shown[-1] is samples[-1]
    assert [each.at for each in shown] == sorted({each.at for each in shown})


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=40))
def test_no_point_of_a_curve_lies_outside_of_its_panel(backlogs):
    drawn = charts.curve(_samples(backlogs))

    heights = [float(y) for y in re.findall(r"[ML]\d[\d.e+]* (-?[\d.]+)", drawn)]
    assert len(heights) > 4 and all(0 <= y <= 100 for y in heights)


def test_a_curve_strikes_out_no_number():
    """What is drawn later is in front."""
    for panel in charts.curve(_samples([0, 20, 60, 40])).split('<svg x="0"')[1:]:
        assert panel.count("<text") >= 2
        assert panel.index("<text") > panel.rindex("<path")


def test_one_moment_is_no_curve():
    assert charts.curve(_samples([3])) == charts.curve([]) == ""
