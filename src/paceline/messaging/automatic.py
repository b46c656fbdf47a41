"""What is answered without a person? Confirmations of STOP, START and HELP, keyword rules, and who is away.

    text ─▶ STOP, START, HELP? ─▶ its confirmation, and no rule (free words that call for help: rules first)
        └─▶ else ─▶ keyword rules in their order ─▶ no reply among them, and the office is closed? ─▶ its text

`answer` runs in the transaction that takes the text in: what goes out is queued there, ahead of bulk, from the number
that the person wrote to, and each effect has its row (`AutomaticText`), so that the same text is never answered twice.
Two machines that answer each other fall silent: the limits below are all that there are.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Max

from paceline.sms import officehours, templates
from paceline.sms.errors import PacelineError
from paceline.sms.intents import Certainty, Reading
from paceline.sms.keywords import Keyword

from . import accounts, conversations, engine, errands, outbox, rules, signals, suppressions
from .models import (
    AutomaticText,
    Contact,
    Conversation,
    Errand,
    KeywordRule,
    Sender,
    TeamReply,
    TextMessage,
)
from .rules import Action

log = logging.getLogger("paceline.automatic")

Kind = AutomaticText.Kind

HOUR, DAY = 3600.0, 86_400.0

LOOP_TEXTS, LOOP_SECONDS = 3, HOUR
"""So many automatic texts to one number within so long, with nobody of the team writing in between, are a loop …"""

SILENT_SECONDS = DAY
"""… and nothing automatic goes to that number for so long."""

NUMBER_MOST_A_DAY = 10
FORWARDS_MOST_AN_HOUR = 60  # to one phone; more is left for the inbox
EVERYBODY_MOST_A_MINUTE = 600  # unless the settings say otherwise
CONFIRMED_AGAIN_SECONDS = DAY  # a STOP's confirmation, to one number
CONFIRM_SECONDS = 300.0  # within so long of the text, or never
REPLY_SECONDS = HOUR  # a rule's reply, or the hours' text, likewise
FORWARD_SECONDS = DAY
HOURS_AGAIN_SECONDS = 12 * HOUR  # the hours' text, in one conversation
AT_ONCE = 12  # texts taken in by one transaction when they may be answered, so that it stays short: some 15 ms
KEPT_SECONDS = 30 * DAY  # how long what was done stays on record
EXCUSED = frozenset({Kind.STOP, Kind.HELP})
"""What a suppressed number may still be sent: the answers that its owner has asked for by this very text."""

TEXTED = re.compile(r"\+[1-9][0-9]{7,14}")
"""Who may be answered at all: a subscriber's number; no short code, no name."""

TOLL_FREE = re.compile(r"\+1(800|833|844|855|866|877|888)[0-9]{7}")
"""Where the network itself obeys STOP and UNSTOP, and says so."""

FORWARDED = re.compile(r"From \+[0-9]{8,15}: ")
"""How a forwarded text begins. One that comes in like this is not forwarded again."""


# --- what is said -------------------------------------------------------------------------------------------------


def _setting(key: str, default: Any = "") -> Any:
    return getattr(settings, "PACELINE", {}).get(key) or default


def confirmation(keyword: Keyword) -> str:
    """The text that answers STOP, START or HELP; empty when nobody has said who we are."""
    if own := _setting(f"{keyword.value.upper()}_TEXT"):
        return str(own)
    program = _setting("PROGRAM_NAME")
    if not program:
        return ""
    contact = _setting("HELP_CONTACT")
    match keyword:
        case Keyword.STOP:
            said = f"{program}: You are unsubscribed and will get no more messages."
            return f"{said} Help: {contact}" if contact else said
        case Keyword.START:
            return f"{program}: Welcome back, you will get our messages again. Reply HELP for help, STOP to stop."
        case Keyword.HELP:
            said = f"{program}: Help at {contact}." if contact else f"{program}."
            frequency = _setting("MESSAGE_FREQUENCY", "Msg frequency varies")
            return f"{said} {frequency}. Msg & data rates may apply. Reply STOP to stop."


def _is_answered_elsewhere(keyword: Keyword, sender: Sender) -> bool:
    """True when the provider or the network answers this word by itself, or we are told not to."""
    wanted = _setting("ANSWER_KEYWORDS", "auto")
    if wanted != "auto":
        return wanted == "no"
    if keyword is not Keyword.HELP and TOLL_FREE.fullmatch(sender.number):
        return True
    try:
        return accounts.provider(sender.account.alias).capabilities.answers_stop
    except ImproperlyConfigured:
        return False


def closed_text(now: datetime) -> str:
    """What is answered at this moment because nobody is there; empty when somebody is, or no hours are set."""
    spelled, text = _setting("OFFICE_HOURS"), _setting("OFFICE_CLOSED_TEXT")
    if not spelled or not text:
        return ""
    try:
        hours = officehours.parse(spelled)
    except ValueError:
        log.error("PACELINE's OFFICE_HOURS cannot be read; nobody is told that the office is closed")
        return ""
    moment = now.timestamp()
    return "" if hours.spans(moment, moment + 1) else str(text)


# --- what would be done -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """A text that goes out, unless a limit holds it back."""

    kind: AutomaticText.Kind
    to: str
    text: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a text brings about: the rules that match, the texts in their order, and the other actions."""

    matched: list[KeywordRule] = field(default_factory=list)
    texts: list[Said] = field(default_factory=list)
    others: list[tuple[KeywordRule, Action]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.matched or self.texts)


def plan(
    text: str,
    reading: Reading,
    *,
    number: str,
    contact: Contact | None,
    sender: Sender | None,
    now: datetime,
    candidates: Sequence[KeywordRule] | None = None,
) -> Plan:
    """What a text from `number` to `sender` would bring about, before any limit. Changes nothing.

    `candidates` are the rules to look at; without them, those in force.
    """
    intent = reading.intent
    if intent is not None and _is_order(reading):
        return Plan(texts=_confirmed(intent, number, sender))
    found = Plan(rules.matching(rules.in_force() if candidates is None else candidates, text, contact))
    fields = {name: str(value) for name, value in (contact.fields if contact else {}).items() if value is not None}
    for rule in found.matched:
        for action in rules.actions_of(rule):
            if action.do == "reply":
                found.texts.append(Said(Kind.REPLY, number, templates.render(action.value, fields), rule.name))
            elif action.do == "forward" and "@" not in action.value:
                if _may_go_on(text, number, action.value):
                    found.texts.append(Said(Kind.FORWARD, action.value, f"From {number}: {text}", rule.name))
            else:
                found.others.append((rule, action))
    if any(said.kind == Kind.REPLY for said in found.texts):
        return found
    if intent is Keyword.HELP:
        found.texts.extend(_confirmed(intent, number, sender))
    elif intent is None and (closed := closed_text(now)):
        found.texts.append(Said(Kind.HOURS, number, closed))
    return found


def _is_order(reading: Reading) -> bool:
    """True for what is no rule's business: the bare words, and free ones that certainly say STOP."""
    if reading.intent is Keyword.STOP:
        return reading.certainty is not Certainty.DOUBTFUL
    return reading.certainty is Certainty.EXACT


def _confirmed(keyword: Keyword, number: str, sender: Sender | None) -> list[Said]:
    text = confirmation(keyword)
    if not text or sender is None or _is_answered_elsewhere(keyword, sender):
        return []
    return [Said(Kind(keyword.value), number, text)]


def _may_go_on(text: str, number: str, phone: str) -> bool:
    """False for what would go round in circles: back to who wrote it, to a sender of ours, or once more."""
    return phone != number and not FORWARDED.match(text) and not Sender.objects.filter(number=phone).exists()


# --- done ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """An inbound text that has just been stored: what it means, its conversation, and when it came."""

    message: TextMessage
    reading: Reading
    conversation: Conversation | None = None
    received_at: datetime | None = None


def answer(
    message: TextMessage,
    reading: Reading,
    conversation: Conversation | None = None,
    *,
    received_at: datetime | None = None,
    now: float | None = None,
) -> None:
    """Does what is automatic about one inbound text, once. For inside the transaction that stores it."""
    answer_all([Heard(message, reading, conversation, received_at)], now=now)


def answer_all(heard: Iterable[Heard], *, now: float | None = None) -> None:
    """The same for several; what is known of all of them is read once, and written at once.

    What goes wrong with one is logged and costs neither the text its place in the inbox nor the others their answers.
    """
    waiting = list(heard)
    if not waiting:
        return
    candidates = rules.in_force()
    if not (candidates or _speaks()):
        return
    _answer_or_log(waiting, candidates, engine.now() if now is None else now)


def _answer_or_log(waiting: Sequence[Heard], candidates: Sequence[KeywordRule], now: float) -> None:
    """Answers all of them together; when that fails, one by one, and logs the one that cannot be answered."""
    try:
        _answer(waiting, candidates, now)
    except (OperationalError, InterfaceError):
        raise  # the database is away or busy: all of it again, later
    except Exception as error:  # its words may quote a number or the text
        if len(waiting) > 1:
            for each in waiting:
                _answer_or_log([each], candidates, now)
        elif not AutomaticText.objects.filter(cause=waiting[0].message.reference).exists():
            log.error("An inbound text could not be answered (%s)", type(error).__name__)


def at_once() -> int:
    """How many texts one transaction may take in: few, when each may be answered in it."""
    return AT_ONCE if _speaks() or KeywordRule.objects.filter(active=True).exists() else engine.CHUNK


def _speaks() -> bool:
    """True when something is answered also without a rule."""
    return any(map(_setting, ("PROGRAM_NAME", "STOP_TEXT", "START_TEXT", "HELP_TEXT", "OFFICE_CLOSED_TEXT")))


def _answer(waiting: Sequence[Heard], candidates: Sequence[KeywordRule], now: float) -> None:
    moment = datetime.fromtimestamp(now, UTC)
    planned = [(heard, _plan_of(heard, candidates, moment)) for heard in waiting]
    if due := [(heard, found) for heard, found in planned if found]:
        with transaction.atomic():  # all of it or nothing, and the texts stay either way
            _carry_out(due, now)


def _plan_of(heard: Heard, candidates: Sequence[KeywordRule], now: datetime) -> Plan:
    message = heard.message
    return plan(
        message.text,
        heard.reading,
        number=message.frm,
        contact=message.contact,
        sender=message.sender,
        now=now,
        candidates=candidates,
    )


def _carry_out(planned: Sequence[tuple[Heard, Plan]], now: float) -> None:
    """Does what is planned for each. What was done before is found out at the end, and none of it is done then."""
    limits = _Limits([(said, heard.message.sender) for heard, found in planned for said in found.texts], now)
    steps: list[_Step] = []
    for heard, found in planned:
        record = _Record(heard, now)
        for rule in found.matched:
            record.write(Kind.RULE, heard.message.frm, rule=rule.name)
        for said in found.texts:
            record.say(said, limits)
        for rule, action in found.others:
            _do(rule, action, heard, record)
        steps += record.steps
    _save(steps)
    for heard, found in planned:
        if found.matched:
            signals.matched(heard.message, [rule.name for rule in found.matched])


@dataclass(frozen=True, slots=True)
class _Step:
    """One effect of an inbound text that leaves a row, and the text that goes out, if one does."""

    values: tuple[Any, ...]
    message: TextMessage | None = None


_COLUMNS = ("cause", "step", "kind", "number", "sender_id", "rule", "held", "at", "excused_until", "message_id")


def _save(steps: Sequence[_Step]) -> None:
    """Queues the texts and writes down all steps: two statements."""
    texts = [step.message for step in steps if step.message is not None]
    TextMessage.objects.bulk_create(texts)
    signals.created([text.pk for text in texts])
    rows = [(*step.values, step.message and step.message.pk) for step in steps]
    if engine.insert(AutomaticText._meta.db_table, _COLUMNS, rows) < len(rows):
        raise IntegrityError("Somebody else has answered one of these texts")


class _Record:
    """What one inbound text brings about, step by step, each with its row."""

    def __init__(self, heard: Heard, now: float) -> None:
        self._message, self._now = heard.message, now
        self._received = (heard.received_at or heard.message.created_on).timestamp()
        self._step = -1
        self.steps: list[_Step] = []

    def next_key(self) -> str:
        """A name for the next effect, the same whenever this text is looked at."""
        self._step += 1
        return f"{self._message.reference}-{self._step}"

    def write(
        self,
        kind: AutomaticText.Kind,
        number: str,
        *,
        rule: str = "",
        held: str = "",
        message: TextMessage | None = None,
        excused_until: float | None = None,
    ) -> None:
        self.next_key()
        about = (self._message.reference, self._step, kind.value, number[:21], self._message.sender_id)
        self.steps.append(_Step((*about, rule, held, self._now, excused_until), message))

    def say(self, said: Said, limits: _Limits) -> None:
        """A text to queue, or why it stays unsaid."""
        lasts = CONFIRM_SECONDS if said.kind in (Kind.STOP, Kind.START, Kind.HELP) else REPLY_SECONDS
        until = self._received + (FORWARD_SECONDS if said.kind == Kind.FORWARD else lasts)
        sender = self._message.sender
        held = "too late" if self._now >= until else limits.hold(said, sender)
        message = None
        if not held:
            assert sender is not None
            try:
                message = outbox.compose(
                    said.text,
                    sender,
                    said.to,
                    priority=outbox.PRIORITY_DIRECT,
                    expires_at=datetime.fromtimestamp(until, UTC),
                )
            except PacelineError:  # a forwarded text that is too long to send again, or an empty one
                held = "cannot be sent"
            else:
                limits.add(said, sender)
        excused = until if message is not None and said.kind in EXCUSED else None
        self.write(said.kind, said.to, rule=said.rule, message=message, held=held, excused_until=excused)


def _do(rule: KeywordRule, action: Action, heard: Heard, record: _Record) -> None:
    """One action that is no text."""
    message, conversation = heard.message, heard.conversation
    match action.do:
        case "forward":
            errands.add(record.next_key(), Errand.Kind.EMAIL, action.value, message, rule.name)
        case "webhook":
            errands.add(record.next_key(), Errand.Kind.WEBHOOK, action.value, message, rule.name)
        case "assign" if conversation is not None:
            conversations.assign(conversation, action.value)
        case "close" if conversation is not None:
            conversations.close(conversation, by=f"rule {rule.name}")
        case "subscribe" | "unsubscribe" | "tag" | "untag" if TEXTED.fullmatch(message.frm):
            contact = message.contact or Contact.objects.get_or_create(number=message.frm)[0]
            getattr(rules, action.do)(contact, action.value)


# --- held back ----------------------------------------------------------------------------------------------------


class _Limits:
    """What was sent by itself until now, and who may not be texted: read once for several texts, and kept up."""

    def __init__(self, wanted: Sequence[tuple[Said, Sender | None]], now: float) -> None:
        self._now = now
        asked = {
            suppressions.Way(said.to, sender.number) for said, sender in wanted if sender and said.kind not in EXCUSED
        }
        self._forbidden = suppressions.among(asked)
        self._this_minute = 0
        self._to: dict[str, list[tuple[float, str, int | None]]] = defaultdict(list)
        numbers = sorted({said.to for said, _ in wanted})
        if not numbers:
            return
        kinds = [kind.value for kind in Kind if kind != Kind.RULE]
        sent = f"FROM {AutomaticText._meta.db_table} WHERE held = '' AND {{}} AND at > %s"
        any_kind, params = engine.one_of("kind", kinds)
        ((self._this_minute,),) = engine.rows(f"SELECT COUNT(*) {sent.format(any_kind)}", [*params, now - 60.0])
        theirs, params = engine.one_of("number", numbers)
        since = now - SILENT_SECONDS - LOOP_SECONDS
        rows = engine.rows(
            f"SELECT number, at, kind, sender_id {sent.format(theirs)} ORDER BY at, id", [*params, since]
        )
        for number, at, kind, of in rows:
            if kind != Kind.RULE:
                self._to[number].append((at, kind, of))

    def add(self, said: Said, sender: Sender) -> None:
        """This one goes out now."""
        self._this_minute += 1
        self._to[said.to].append((self._now, said.kind, sender.pk))

    def hold(self, said: Said, sender: Sender | None) -> str:
        """Why a text is not sent, in a few words; empty when it is."""
        now = self._now
        if sender is None or sender.removed_at is not None:
            return "no sender of ours"
        if not TEXTED.fullmatch(said.to):
            return "no number to text"
        if said.kind not in EXCUSED and suppressions.Way(said.to, sender.number) in self._forbidden:
            return "suppressed"
        if self._this_minute >= _setting("AUTOMATIC_PER_MINUTE", EVERYBODY_MOST_A_MINUTE):
            return "too many in this minute"
        to_them = self._to[said.to]
        if said.kind == Kind.FORWARD:
            lately = sum(kind == Kind.FORWARD and at > now - HOUR for at, kind, _ in to_them)
            return "too many to this phone" if lately >= FORWARDS_MOST_AN_HOUR else ""
        answers = [each for each in to_them if each[1] != Kind.FORWARD]
        if said.kind == Kind.STOP and any(
            kind == Kind.STOP and at > now - CONFIRMED_AGAIN_SECONDS for at, kind, _ in answers
        ):
            return "confirmed already"
        if said.kind == Kind.HOURS and any(
            (kind, of) == (Kind.HOURS, sender.pk) and at > now - HOURS_AGAIN_SECONDS for at, kind, of in answers
        ):
            return "told already"
        moments = [at for at, _, _ in answers]
        if len(moments) >= LOOP_TEXTS and is_loop([at for at in moments if at > _heard_from_us(said.to)], now):
            return "a loop"
        if sum(at > now - DAY for at in moments) >= NUMBER_MOST_A_DAY:
            return "too many to this number"
        return ""


def _heard_from_us(number: str) -> float:
    """When a person of the team last wrote to this number, in epoch seconds."""
    last = TeamReply.objects.filter(conversation__number=number).aggregate(last=Max("at"))["last"]
    return last.timestamp() if last else 0.0


def is_loop(moments: Sequence[float], now: float) -> bool:
    """True while the automatic texts of these moments, in order, look like two machines that answer each other."""
    return any(
        third - first <= LOOP_SECONDS and now - third < SILENT_SECONDS
        for first, third in zip(moments, moments[LOOP_TEXTS - 1 :], strict=False)
    )


def forget(now: float) -> int:
    """Removes what is longer ago than any limit looks back, some hundreds at a time; answers how many.

    What was sent keeps its row as long as the message is there: a thread says which texts nobody wrote.
    """
    old = AutomaticText.objects.filter(message=None, at__lt=now - KEPT_SECONDS)
    ids = list(old.values_list("pk", flat=True)[: engine.CHUNK])
    return AutomaticText.objects.filter(pk__in=ids).delete()[0] if ids else 0
