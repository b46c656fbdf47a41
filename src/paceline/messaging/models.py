"""What is remembered? The tables, and the constraints that say what must never be.

Moments that pacing computes with (`slot_at`, `lease_until`, `next_free_at` …) are seconds since the epoch as
floats, on the database's clock; moments for people are aware datetimes.
"""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from paceline.sms.messages import new_reference
from paceline.sms.status import Status


class Limit(models.Model):
    """A timeline that messages pass one after another: so many units a second, free again at a moment."""

    class Unit(models.TextChoices):
        MESSAGE = "message"
        SEGMENT = "segment"

    mps = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.001)], help_text="units per second; empty means no limit"
    )
    unit = models.CharField(max_length=8, choices=Unit.choices, default=Unit.MESSAGE)
    next_free_at = models.FloatField(null=True, editable=False)
    recent = models.JSONField(default=list, editable=False)  # in segments: [[slot, segments]] of the last window
    backoff_until = models.FloatField(default=0, editable=False)
    blocked = models.TextField(blank=True, help_text="why nothing leaves here until a person acts; empty means open")

    class Meta:
        abstract = True


class Account(Limit):
    """One account at one provider; `alias` is its key in the settings' PROVIDERS."""

    alias = models.CharField(max_length=40, unique=True)
    recipient_daily_cap = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="submits to one number per day (UTC); empty means no cap"
    )
    spend_cap = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, blank=True, help_text="cost per day (UTC); empty means no cap"
    )
    price_per_segment = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, blank=True, help_text="what a spend cap counts a segment as"
    )
    spent_on = models.DateField(null=True, editable=False)
    spent = models.DecimalField(max_digits=14, decimal_places=6, default=0, editable=False)
    trouble_streak = models.PositiveSmallIntegerField(default=0, editable=False)  # the breaker's count
    tripped_at = models.FloatField(null=True, editable=False)

    def __str__(self) -> str:
        return self.alias


class Sender(Limit):
    """A lane: one sender (long code, toll-free, short code, alphanumeric) on one account, with its timeline."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="senders")
    number = models.CharField(max_length=21)
    daily_cap = models.PositiveIntegerField(null=True, blank=True, help_text="submits per day (UTC); empty means none")
    capped_on = models.DateField(null=True, editable=False)
    capped_count = models.PositiveIntegerField(default=0, editable=False)
    slowdown = models.FloatField(default=1.0, editable=False)  # share of mps left after the provider's 429s
    slowed_at = models.FloatField(default=0, editable=False)
    uncertain_streak = models.PositiveSmallIntegerField(default=0, editable=False)
    turn = models.BigIntegerField(default=0, editable=False)  # the campaign that was served last on this lane
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "number"], name="one_lane_per_sender")]

    def __str__(self) -> str:
        return self.number


class Contact(models.Model):
    """A person, known by their number. A contact always hears from the same sender."""

    number = models.CharField(max_length=16)
    fields = models.JSONField(default=dict, blank=True)
    sender = models.ForeignKey(Sender, null=True, blank=True, on_delete=models.SET_NULL, related_name="contacts")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        # not `unique` on the field: PostgreSQL would keep an index for LIKE as well, half the cost of an import
        constraints = [models.UniqueConstraint(fields=["number"], name="one_contact_per_number")]

    def __str__(self) -> str:
        return self.number


class ContactList(models.Model):
    """A named list of contacts: the audience of a campaign."""

    name = models.CharField(max_length=120, unique=True)
    contacts = models.ManyToManyField(Contact, through="Membership", related_name="lists")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A contact is on a list, once.

    Made by `contacts` alone, which locks both; a constraint would look at them for every row, a third of an import.
    """

    list = models.ForeignKey(
        ContactList, on_delete=models.CASCADE, related_name="memberships", db_index=False, db_constraint=False
    )
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="memberships", db_constraint=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["list", "contact"], name="once_per_list")]

    def __str__(self) -> str:
        return f"{self.contact_id} on {self.list_id}"


class Suppression(models.Model):
    """What forbids sending to a number: from all senders, from one, or for the campaigns of one list.

    Looked up by `number_hash`; the number itself is empty once the person has been erased.
    """

    class Reason(models.TextChoices):
        OPT_OUT = "opt-out"
        PROVIDER = "provider"
        MANUAL = "manual"
        ERASED = "erased"

    number = models.CharField(max_length=16, blank=True, db_index=True)
    number_hash = models.CharField(max_length=64, editable=False)
    scope_key = models.CharField(max_length=32, default="all", editable=False)  # all, sender:+12025550100, list:7
    # a list that somebody has left cannot be deleted, and filled again, behind their back
    list = models.ForeignKey(ContactList, null=True, blank=True, on_delete=models.PROTECT, editable=False)
    reason = models.CharField(max_length=12, choices=Reason.choices, default=Reason.MANUAL)
    evidence = models.TextField(blank=True)
    needs_review = models.BooleanField(default=False, editable=False)  # in force, and a person is to look at it
    said_at = models.DateTimeField(default=timezone.now, editable=False)  # the last time that the person said so
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    hashed_with = models.CharField(max_length=16, editable=False)  # the fingerprint of the key that made the hash

    class Meta:
        constraints = [models.UniqueConstraint(fields=["number_hash", "scope_key"], name="once_per_scope")]

    def __str__(self) -> str:
        return self.number or "(erased)"

    @property
    def scope(self) -> str:
        """Where it holds, as people write it: all, sender:+12025550100, list:Guests."""
        return self.scope_key if self.list is None else f"list:{self.list}"


class LedgerEntry(models.Model):
    """What has happened to the suppressions of a number: when, how and by whose word. Only ever added to."""

    class What(models.TextChoices):
        ADDED = "added"
        LIFTED = "lifted"
        CONFIRMED = "confirmed"
        ERASED = "erased"

    number = models.CharField(max_length=16, blank=True)  # empty after an erasure, as the evidence is
    number_hash = models.CharField(max_length=64, db_index=True)
    scope_key = models.CharField(max_length=32)
    what = models.CharField(max_length=9, choices=What.choices)
    reason = models.CharField(max_length=12, choices=Suppression.Reason.choices)
    evidence = models.TextField(blank=True)
    at = models.DateTimeField(default=timezone.now)
    hashed_with = models.CharField(max_length=16)

    class Meta:
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return f"{self.number or '(erased)'} {self.what}"


class LedgerKey(models.Model):
    """A key that hashes in the ledger were made with, by its fingerprint. One that is not ours stops all sending."""

    fingerprint = models.CharField(max_length=16, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.fingerprint


class Campaign(Limit):
    """A text for an audience, released through the valve in tranches; a limit of its own, beside its senders'."""

    class State(models.TextChoices):
        DRAFT = "draft"
        SCHEDULED = "scheduled"
        RUNNING = "running"
        PAUSED = "paused"
        FINISHED = "finished"
        CANCELLED = "cancelled"

    name = models.CharField(max_length=120)
    text = models.TextField()
    list = models.ForeignKey(ContactList, null=True, blank=True, on_delete=models.PROTECT, related_name="campaigns")
    sender = models.ForeignKey(
        Sender, null=True, blank=True, on_delete=models.PROTECT, help_text="empty: each contact's own sender"
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.DRAFT)
    batch_size = models.PositiveIntegerField(null=True, blank=True, help_text="recipients per tranche; empty: all")
    delay_period = models.FloatField(default=0, help_text="seconds from a tranche's last submit to the next tranche")
    priority = models.SmallIntegerField(default=50, help_text="lower leaves first")
    scheduled_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="nothing is submitted after this moment")
    spend_cap = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, blank=True, help_text="cost of the campaign; empty means no cap"
    )
    spent = models.DecimalField(max_digits=14, decimal_places=6, default=0, editable=False)
    reply_line = models.PositiveIntegerField(
        null=True, blank=True, help_text="conversations open at most; empty: no line, or what the rate below allows"
    )
    replies_per_hour = models.FloatField(
        null=True, blank=True, help_text="conversations that one of the team closes in an hour; empty: it is learned"
    )
    team_size = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="how many of them answer at a time")
    office_hours = models.CharField(
        max_length=120, blank=True, help_text="when they do: Mon-Fri 9-17 Europe/Madrid; empty means always"
    )
    reply_rate_guess = models.FloatField(
        null=True, blank=True, help_text="share of texts that may be answered, 0.12; it is learned from the replies"
    )
    fanned_out = models.BooleanField(default=False, editable=False)  # every recipient has its row
    fan_out_after = models.BigIntegerField(default=0, editable=False)  # the last membership that has its row
    fan_out_until = models.BigIntegerField(default=0, editable=False)  # the last one at the launch: the list is frozen
    tranche_left = models.PositiveIntegerField(default=0, editable=False)  # of the tranche now being released
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class Intake(models.Model):
    """Numbers given with a campaign that are not contacts yet: read by the fan-out, then deleted."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="intakes")
    numbers = models.JSONField()

    def __str__(self) -> str:
        return f"{len(self.numbers)} numbers"


class TextMessage(models.Model):
    """One text to one person, from its place in a campaign to the last word about it; or one that came in.

    `error` is for the caller of `send_text` alone: what it has swallowed, on the message that it returned.
    """

    class Direction(models.TextChoices):
        OUTGOING = "outgoing"
        INCOMING = "incoming"

    STATUSES = tuple(status.value for status in Status)
    error: Exception | None = None

    reference = models.CharField(max_length=32, default=new_reference, editable=False)
    direction = models.CharField(max_length=8, choices=Direction.choices, default=Direction.OUTGOING)
    # a message is rewritten three times on its way, and PostgreSQL then writes all of its indexes: no index too many
    campaign = models.ForeignKey(
        Campaign, null=True, blank=True, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    contact = models.ForeignKey(Contact, null=True, blank=True, on_delete=models.SET_NULL, related_name="messages")
    sender = models.ForeignKey(
        Sender, null=True, blank=True, on_delete=models.PROTECT, related_name="messages", db_index=False
    )
    frm = models.CharField(max_length=21)
    to = models.CharField(max_length=21)
    text = models.TextField(blank=True)
    fields = models.JSONField(default=dict, blank=True)
    segments = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(max_length=12, choices=[(s.value, s.value) for s in Status], default=Status.QUEUED)
    priority = models.SmallIntegerField(default=50)
    report = models.BooleanField(default=True, db_default=True)  # ask the provider for a delivery report

    not_before = models.FloatField(default=0, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    attempt = models.CharField(max_length=32, blank=True, editable=False)  # the claim that holds it: the fence
    slot_at = models.FloatField(null=True, editable=False)
    lease_until = models.FloatField(null=True, editable=False)
    tries = models.PositiveSmallIntegerField(default=0, editable=False)
    submitted_at = models.FloatField(null=True, editable=False)
    look_up_at = models.FloatField(null=True, editable=False)  # when to ask the provider about an uncertain one
    look_ups = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)

    provider_id = models.CharField(max_length=64, blank=True)
    code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    price = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    created_on = models.DateTimeField(default=timezone.now, editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    reported_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "to"], name="once_per_campaign"),
            models.UniqueConstraint(fields=["reference"], name="one_reference"),
        ]
        indexes = [
            models.Index(fields=["provider_id"], name="by_provider_id", condition=~models.Q(provider_id="")),
            models.Index(fields=["status", "campaign", "sender", "priority", "id"], name="claimable"),
            models.Index(fields=["campaign", "status", "id"], name="releasable", condition=models.Q(status="held")),
            models.Index(fields=["campaign", "submitted_at"], name="campaign_pace"),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def simple_status(self) -> str:
        """The status in six words: created, sending, sent, delivered, refused, rejected; `received` for inbound."""
        return SIMPLE[Status(self.status)]


SIMPLE = {
    Status.HELD: "created",
    Status.QUEUED: "created",
    Status.LEASED: "created",
    Status.SUBMITTING: "sending",
    Status.UNCERTAIN: "sending",
    Status.ACCEPTED: "sending",
    Status.SENT: "sent",
    Status.UNCONFIRMED: "sent",
    Status.DELIVERED: "delivered",
    Status.REFUSED: "refused",
    Status.FAILED: "refused",
    Status.SUPPRESSED: "refused",
    Status.CANCELLED: "refused",
    Status.UNDELIVERED: "rejected",
    Status.EXPIRED: "rejected",
    Status.RECEIVED: "received",
}
"""`refused`: it did not get past the provider, or never was submitted. `rejected`: the carrier or handset said no."""


class Installation(models.Model):
    """Whose database this is: one row. `stopped` says why nothing may be sent until a person confirms."""

    database = models.CharField(max_length=32, default=new_reference)  # the same in all copies of this database
    name = models.CharField(max_length=120, blank=True)  # PACELINE_INSTANCE of who may send from it
    epoch = models.PositiveBigIntegerField(default=0)  # rises with each dispatcher that starts
    stopped = models.TextField(blank=True)
    stopped_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name or "this installation"


class Event(models.Model):
    """What a provider told us, as it came. Kept for good; applied once."""

    account = models.CharField(max_length=40)
    dedupe_key = models.CharField(max_length=64, unique=True)
    query = models.TextField(blank=True)
    body = models.BinaryField()
    received_at = models.DateTimeField(default=timezone.now)
    next_try_at = models.FloatField(null=True, default=0, db_index=True)  # null: nothing is left to do
    tries = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.account} {self.received_at:%H:%M:%S}"


# --- the inbox ------------------------------------------------------------------------------------------------


class Conversation(models.Model):
    """What a person and one of our numbers say to each other. People are named as they sign in: without a users' table
    there are conversations too.
    """

    class State(models.TextChoices):
        OPEN = "open"
        ASSIGNED = "assigned"
        SNOOZED = "snoozed"
        CLOSED = "closed"

    number = models.CharField(max_length=21)  # theirs, as it came: a short code or a name too
    ours = models.CharField(max_length=21)  # what they wrote to; it is kept when it is no sender of ours
    contact = models.ForeignKey(Contact, null=True, on_delete=models.SET_NULL, related_name="conversations")
    sender = models.ForeignKey(
        Sender, null=True, on_delete=models.PROTECT, related_name="conversations", db_index=False
    )
    campaign = models.ForeignKey(  # the last one that they answered
        Campaign, null=True, on_delete=models.SET_NULL, related_name="conversations"
    )
    state = models.CharField(max_length=8, choices=State.choices, default=State.CLOSED)
    assignee = models.CharField(max_length=254, blank=True, help_text="who has taken it up; empty means nobody")
    unread = models.PositiveIntegerField(default=0)
    waiting_since = models.DateTimeField(null=True)  # the first text that nobody has answered
    snoozed_until = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)  # of this opening, or of the last one when it is closed
    closed_at = models.DateTimeField(null=True)  # the last time
    last_at = models.DateTimeField()  # of the last text, theirs or our reply

    class Meta:
        constraints = [models.UniqueConstraint(fields=["number", "ours"], name="one_conversation")]
        indexes = [
            models.Index(fields=["state", "waiting_since"], name="backlog"),
            models.Index(fields=["assignee", "state"], name="conversations_of"),
            models.Index(fields=["last_at"], name="last_heard"),
        ]

    def __str__(self) -> str:
        return f"conversation {self.pk}"


class Reply(models.Model):
    """What is known of an inbound text beside its words: which message it answers, and how long that took."""

    message = models.OneToOneField(TextMessage, on_delete=models.CASCADE, related_name="reply")
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="replies")
    campaign = models.ForeignKey(
        Campaign, null=True, on_delete=models.SET_NULL, related_name="replies", db_index=False
    )  # its index is the one below
    answers = models.ForeignKey(TextMessage, null=True, on_delete=models.SET_NULL, related_name="answered_by")
    delay_seconds = models.FloatField(null=True)  # from the submit of what it answers
    received_at = models.DateTimeField()
    needs_answer = models.BooleanField(default=True)  # False: an opt-out, a START, a call for help
    opens = models.BooleanField(default=False)  # the conversation was closed until this text

    class Meta:
        indexes = [models.Index(fields=["campaign", "received_at"], name="campaign_replies")]

    def __str__(self) -> str:
        return f"reply {self.pk}"


class TeamReply(models.Model):
    """A message that somebody of the team wrote in a conversation, and who that was."""

    message = models.OneToOneField(TextMessage, on_delete=models.CASCADE, related_name="team_reply")
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="team_replies")
    author = models.CharField(max_length=254, blank=True)
    at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"team reply {self.pk}"


class Spell(models.Model):
    """A conversation was open, assigned or snoozed from here to there: the backlog of any moment, on record."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="spells")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=254, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["closed_at", "opened_at"], name="backlog_then"),
            models.Index(fields=["opened_at"], name="openings"),
        ]

    def __str__(self) -> str:
        return f"spell {self.pk}"


class Note(models.Model):
    """What the team tells itself in a conversation; it is never sent."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="notes")
    author = models.CharField(max_length=254, blank=True)
    text = models.TextField()
    at = models.DateTimeField(default=timezone.now, editable=False)
    once = models.CharField(max_length=32, null=True, editable=False)  # the form that it was written in

    class Meta:
        constraints = [models.UniqueConstraint(fields=["conversation", "once"], name="once_per_form")]

    def __str__(self) -> str:
        return f"note {self.pk}"


class QuickReply(models.Model):
    """A text for what is asked often: `/hours` in a reply stands for it. Fields are written as in a campaign."""

    shortcut = models.CharField(max_length=40, unique=True)  # without the slash, in small letters
    text = models.TextField()

    def __str__(self) -> str:
        return self.shortcut


# --- keyword rules and what is automatic ----------------------------------------------------------------------


class KeywordRule(models.Model):
    """What is done by itself with an inbound text: whom it is for, which texts match, and the actions."""

    class Match(models.TextChoices):
        ANY = "any", "any text"
        EXACT = "exact", "the whole text"
        FIRST_WORD = "first_word", "the first word"
        PATTERN = "pattern", "a pattern"

    name = models.CharField(max_length=120, unique=True)
    match = models.CharField(max_length=10, choices=Match.choices, default=Match.EXACT)
    words = models.CharField(max_length=300, blank=True, help_text="with commas: JOIN, IN; a pattern: ... menu ...")
    actions = models.JSONField(
        default=list, help_text='[{"do": "reply", "text": "Welcome!"}, {"do": "tag", "tag": "vip"}]'
    )
    list = models.ForeignKey(
        ContactList,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="rules",
        help_text="only for who is on it; empty: for everybody",
    )
    language = models.CharField(
        max_length=12, blank=True, help_text="only for contacts whose field `language` says so: es; empty: any"
    )
    position = models.IntegerField(default=100, help_text="lower is looked at first")
    active = models.BooleanField(default=True)
    go_on = models.BooleanField(default=False, help_text="look at the later rules too when this one matches")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raises `ValidationError`, each fault with its field."""
        from . import rules  # it knows this table

        rules.check(self)


class ContactTag(models.Model):
    """A word that rules have put on a contact, once."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="tags")
    name = models.CharField(max_length=60)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["contact", "name"], name="once_per_tag")]
        indexes = [models.Index(fields=["name"], name="by_tag")]

    def __str__(self) -> str:
        return self.name


class AutomaticText(models.Model):
    """One thing that was done, or held back, without a person: the record that keeps machines from talking for ever.

    Each has the inbound text that caused it, and which of its effects it is: nothing is done twice.
    """

    class Kind(models.TextChoices):
        STOP = "stop"
        START = "start"
        HELP = "help"
        REPLY = "reply"
        HOURS = "hours"
        FORWARD = "forward"
        RULE = "rule", "a rule matched"

    cause = models.CharField(max_length=32)  # the reference of the inbound text
    step = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    number = models.CharField(max_length=21)  # whom it goes to; for a rule, who wrote
    sender = models.ForeignKey(Sender, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    message = models.OneToOneField(TextMessage, null=True, on_delete=models.SET_NULL, related_name="automatic")
    rule = models.CharField(max_length=120, blank=True)
    held = models.CharField(max_length=60, blank=True)  # why it was not sent; empty: it was
    at = models.FloatField()
    excused_until = models.FloatField(null=True)  # until then it passes a suppression: what the person has asked for

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cause", "step"], name="once_per_cause")]
        indexes = [
            models.Index(fields=["number", "at"], name="automatic_to"),
            models.Index(fields=["at"], name="automatic_at"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class Errand(models.Model):
    """What a rule wants done outside the database, at least once: an e-mail, or a webhook."""

    class Kind(models.TextChoices):
        EMAIL = "email"
        WEBHOOK = "webhook"

    key = models.CharField(max_length=48, unique=True)  # also the webhook-id: the same at each try
    kind = models.CharField(max_length=7, choices=Kind.choices)
    target = models.CharField(max_length=500)
    message = models.ForeignKey(TextMessage, on_delete=models.CASCADE, related_name="errands")
    rule = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    due_at = models.FloatField(null=True, default=0, db_index=True)  # null: nothing is left to do
    tries = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


# --- the pace that listens --------------------------------------------------------------------------------------


class BacklogSample(models.Model):
    """What a reply-aware campaign had released at a moment, and how full the team's hands were: its curve."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="backlog_samples", db_index=False)
    at = models.DateTimeField()
    released = models.PositiveIntegerField()
    backlog = models.PositiveIntegerField()
    line = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["campaign", "at"], name="campaign_curve")]

    def __str__(self) -> str:
        return f"{self.backlog} of {self.line}"
