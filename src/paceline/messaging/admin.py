"""What may people see and do in Django's own admin? Read everything, write nothing that has happened.

Only suppressions, senders, blocks, quick replies and keyword rules change here, by the verbs that every other door
uses. No page scans a large table: searches are exact and by index, and a list counts no further than it shows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from paceline.sms import intents
from paceline.sms.errors import InvalidNumber, TemplateError
from paceline.sms.numbers import normalize

from . import automatic, breaker, conversations, engine, hashes, lanes, senders, suppressions, texts
from .models import (
    Account,
    AutomaticText,
    Campaign,
    Contact,
    ContactList,
    Conversation,
    Errand,
    Event,
    KeywordRule,
    LedgerEntry,
    QuickReply,
    Sender,
    Suppression,
    TextMessage,
)

LIST_MOST = 10_000
FOUND_MOST = 1000


class ShortPaginator(Paginator):
    """Pages over the first ten thousand rows; it counts no more, or every page would count a whole table."""

    @cached_property
    def count(self) -> int:
        return int(self.object_list.order_by()[:LIST_MOST].count())


class ReadOnly(admin.ModelAdmin):
    """Everything can be seen, nothing added, changed or deleted."""

    paginator = ShortPaginator
    show_full_result_count = False
    ordering = ("-pk",)
    looks_up: tuple[str, ...] = ()
    """Indexed fields that a search compares, exactly."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.looks_up

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """One exact query for each field, over its own index; a number may be written in any way."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found: set[int] = set()
        for field in self.looks_up:
            rows = self.model._default_manager.filter(**{f"{field}__in": {term, _number(term)}})
            found |= set(rows.values_list("pk", flat=True)[:FOUND_MOST])
        return queryset.filter(pk__in=found), False


def _number(term: str) -> str:
    try:
        return normalize(term, texts.region())
    except InvalidNumber:
        return term


@admin.register(TextMessage)
class TextMessageAdmin(ReadOnly):
    list_display = ("reference", "direction", "frm", "to", "status", "segments", "campaign", "created_on")
    list_filter = ("status", "direction", "campaign", "created_on")
    list_select_related = ("campaign",)
    looks_up = ("reference", "provider_id", "contact__number")
    search_help_text = "A number, a reference or a provider's id, written whole"
    fields = (
        *("reference", "direction", "frm", "to", "text", "segments", "status", "code", "reason", "provider_id"),
        *("price", "currency", "campaign", "contact", "sender", "priority", "report", "expires_at", "tries"),
        *("created_on", "accepted_at", "reported_at"),
    )


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ("received_at", "account", "outcome", "tries", "is_waiting")
    list_filter = (("next_try_at", admin.EmptyFieldListFilter),)
    fields = ("received_at", "account", "outcome", "tries", "is_waiting", "query", "as_text")

    @admin.display(boolean=True, description="waits to be applied")
    def is_waiting(self, event: Event) -> bool:
        return event.next_try_at is not None

    @admin.display(description="body")
    def as_text(self, event: Event) -> str:
        return bytes(event.body).decode("utf-8", "replace")


@admin.register(Campaign)
class CampaignAdmin(ReadOnly):
    list_display = ("name", "state", "list", "batch_size", "delay_period", "mps", "created_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("list",)
    fields = (
        *("name", "text", "list", "sender", "state", "batch_size", "delay_period", "priority", "scheduled_at"),
        *("mps", "unit", "spend_cap", "spent", "blocked", "expires_at", "created_at", "started_at", "finished_at"),
    )


@admin.register(Contact)
class ContactAdmin(ReadOnly):
    list_display = ("number", "sender", "created_at")
    list_select_related = ("sender",)
    looks_up = ("number",)
    fields = ("number", "fields", "sender", "created_at")


@admin.register(ContactList)
class ContactListAdmin(ReadOnly):
    list_display = ("name", "created_at")
    fields = ("name", "created_at")


@admin.register(Conversation)
class ConversationAdmin(ReadOnly):
    """The register; conversations are held in the inbox."""

    list_display = ("number", "ours", "state", "assignee", "unread", "waiting_since", "campaign", "last_at")
    list_filter = ("state", "assignee", "campaign")
    list_select_related = ("campaign",)
    looks_up = ("number", "contact__number")
    fields = (
        *("number", "ours", "contact", "sender", "campaign", "state", "assignee", "unread", "waiting_since"),
        *("snoozed_until", "opened_at", "closed_at", "last_at"),
    )


class QuickReplyForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        try:
            given["shortcut"] = conversations.shortcut(given.get("shortcut", ""), given.get("text", ""))
        except (TemplateError, ValueError) as error:
            raise ValidationError(str(error)) from error
        return given


@admin.register(QuickReply)
class QuickReplyAdmin(admin.ModelAdmin):
    form = QuickReplyForm
    list_display = ("shortcut", "text")
    ordering = ("shortcut",)


@admin.register(Account)
class AccountAdmin(ReadOnly):
    """Its limits are those of the settings; a block is lifted when what caused it has been mended."""

    list_display = ("alias", "mps", "unit", "recipient_daily_cap", "spend_cap", "price_per_segment", "blocked")
    fields = (*list_display, "spent_on", "spent")
    actions = ("unblock",)

    @admin.action(description="Unblock: the cause has been mended", permissions=["unblock"])
    def unblock(self, request: HttpRequest, chosen: QuerySet[Account]) -> None:
        for account in chosen:
            lanes.unblock(account)
            breaker.reset(account)
        messages.success(request, "They may send again, their senders too.")

    def has_unblock_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("paceline.change_account")


class SenderForm(forms.ModelForm):
    def clean_number(self) -> str:
        try:
            return senders.spelled(self.cleaned_data["number"], texts.region())
        except InvalidNumber as error:
            raise ValidationError(str(error)) from error


@admin.register(Sender)
class SenderAdmin(admin.ModelAdmin):
    """Added, removed and paced here; a sender that has sent stays in the history."""

    form = SenderForm
    list_display = ("number", "account", "mps", "daily_cap", "blocked", "removed_at")
    list_filter = ("account",)
    list_select_related = ("account",)
    ordering = ("pk",)
    actions = ("remove", "reopen")

    def get_fields(self, request: HttpRequest, obj: Sender | None = None) -> tuple[str, ...]:
        shown = ("account", "number", "mps", "daily_cap")
        return shown if obj is None else (*shown, "blocked", "removed_at", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Sender | None = None) -> tuple[str, ...]:
        return () if obj is None else ("account", "number", "blocked", "removed_at", "created_at")

    def has_delete_permission(self, request: HttpRequest, obj: Sender | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, sender: Sender, form: Any, change: bool) -> None:
        if change:
            if "daily_cap" in form.changed_data:
                lanes.set_daily_cap(sender, sender.daily_cap, engine.now())
            lanes.set_rate(sender, sender.mps, engine.now())
            return
        added, _ = senders.add(sender.account, sender.number, mps=sender.mps, daily_cap=sender.daily_cap)
        sender.pk = added.pk

    @admin.action(description="Remove: nothing leaves them any more", permissions=["change"])
    def remove(self, request: HttpRequest, chosen: QuerySet[Sender]) -> None:
        moved = sum(senders.remove(sender) for sender in chosen)
        messages.success(request, f"Removed; {moved} contacts have another sender now.")

    @admin.action(description="Open again: removed or blocked ones may send", permissions=["change"])
    def reopen(self, request: HttpRequest, chosen: QuerySet[Sender]) -> None:
        for sender in chosen:
            senders.add(sender.account, sender.number, mps=sender.mps, daily_cap=sender.daily_cap)
        messages.success(request, "They may send again.")


class SuppressionForm(forms.ModelForm):
    def clean_number(self) -> str:
        try:
            return normalize(self.cleaned_data["number"], texts.region())
        except InvalidNumber as error:
            raise ValidationError(str(error)) from error


@admin.register(Suppression)
class SuppressionAdmin(ReadOnly):
    """Added, confirmed and lifted here, never rewritten: what is there is evidence."""

    form = SuppressionForm
    list_display = ("__str__", "scope", "reason", "needs_review", "created_at")
    list_filter = ("needs_review", "reason")
    list_select_related = ("list",)
    looks_up = ("number",)
    actions = ("confirm",)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        shown = ("number", "scope", "reason", "evidence", "needs_review", "said_at", "created_at")
        return ("number", "evidence") if obj is None else shown

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("paceline.add_suppression")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("paceline.delete_suppression")

    def save_model(self, request: HttpRequest, suppression: Any, form: Any, change: bool) -> None:
        suppressions.add(suppression.number, suppressions.Reason.MANUAL, suppression.evidence)
        entry = suppressions.of(suppression.number).get(scope_key=suppressions.ALL.key)
        suppression.pk, suppression.number_hash = entry.pk, entry.number_hash

    def delete_model(self, request: HttpRequest, suppression: Any) -> None:
        suppressions.lift(suppression, f"lifted by {request.user}")

    def delete_queryset(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        for suppression in chosen:
            self.delete_model(request, suppression)

    @admin.action(description="Confirm: they stay suppressed", permissions=["add"])
    def confirm(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        count = sum(suppressions.confirm(entry, f"confirmed by {request.user}") for entry in chosen)
        messages.success(request, f"{count} confirmed.")


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnly):
    """When and how somebody opted out, and who lifted it."""

    list_display = ("at", "number", "what", "scope_key", "reason", "evidence")
    list_filter = ("what", "reason")
    fields = ("at", "number", "what", "scope_key", "reason", "evidence")
    looks_up = ("number_hash",)
    search_help_text = "A number, written whole"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(number_hash=hashes.of(_number(term))) if term else queryset), False


class KeywordRuleForm(forms.ModelForm):
    trial = forms.CharField(required=False, label="Try this text", help_text="what would be done is said, nothing is")


@admin.register(KeywordRule)
class KeywordRuleAdmin(admin.ModelAdmin):
    """Written here as on the command line; a faulty one is told field by field."""

    form = KeywordRuleForm
    list_display = ("name", "position", "active", "match", "words", "list", "language", "go_on")
    list_filter = ("active", "match")
    list_select_related = ("list",)
    ordering = ("position", "pk")
    fields = ("name", "match", "words", "list", "language", "position", "active", "go_on", "actions", "trial")

    def save_model(self, request: HttpRequest, rule: Any, form: Any, change: bool) -> None:
        super().save_model(request, rule, form, change)
        if text := form.cleaned_data.get("trial"):
            messages.info(request, _tried(text))


def _tried(text: str) -> str:
    """What a stranger's text would bring about."""
    sender = next(iter(senders.active()), None)
    found = automatic.plan(
        text, intents.read(text), number="+12025550199", contact=None, sender=sender, now=timezone.now()
    )
    matched = ", ".join(rule.name for rule in found.matched) or "none"
    said = "; ".join(f"to {each.to}: {each.text}" for each in found.texts) or "nothing"
    return f"Rules that match {text!r}: {matched}. It would be answered: {said}."


@admin.register(AutomaticText)
class AutomaticTextAdmin(ReadOnly):
    list_display = ("kind", "number", "sender", "rule", "held", "moment")
    list_filter = ("kind", "held")
    list_select_related = ("sender",)
    looks_up = ("number", "cause")
    fields = (*list_display, "cause", "step", "message")

    @admin.display(description="at")
    def moment(self, row: AutomaticText) -> datetime:
        return datetime.fromtimestamp(row.at, UTC)


@admin.register(Errand)
class ErrandAdmin(ReadOnly):
    list_display = ("kind", "target", "rule", "tries", "outcome", "created_at", "done_at", "is_waiting")
    list_filter = ("kind", ("due_at", admin.EmptyFieldListFilter))
    fields = (*list_display, "key", "message")

    @admin.display(boolean=True, description="waits to be done")
    def is_waiting(self, errand: Errand) -> bool:
        return errand.due_at is not None
