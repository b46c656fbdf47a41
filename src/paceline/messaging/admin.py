"""What may people see and do in Django's own admin? Read everything, write nothing that has happened.

Only suppressions, senders, blocks and quick replies change here, by the verbs that every other door uses. No page scans
a large table: searches are exact and by index, and a list counts no further than it shows.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from paceline.sms.errors import InvalidNumber, TemplateError
from paceline.sms.numbers import normalize

from . import breaker, conversations, engine, lanes, senders, suppressions, texts
from .models import (
    Account,
    Campaign,
    Contact,
    ContactList,
    Conversation,
    Event,
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
    """Added and lifted here, never rewritten: what is there is evidence."""

    form = SuppressionForm
    list_display = ("number", "reason", "created_at")
    list_filter = ("reason",)
    looks_up = ("number",)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("number", "evidence") if obj is None else ("number", "reason", "evidence", "created_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("paceline.add_suppression")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("paceline.delete_suppression")

    def save_model(self, request: HttpRequest, suppression: Any, form: Any, change: bool) -> None:
        suppressions.add(suppression.number, suppressions.Reason.MANUAL, suppression.evidence)
        suppression.pk = Suppression.objects.get(number=suppression.number).pk
