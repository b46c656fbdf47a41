"""What may people type?"""

from __future__ import annotations

from decimal import Decimal

from django import forms

from paceline.messaging.models import Campaign
from paceline.sms import pacing


class RateField(forms.CharField):
    """Units per second as people write them: 3, 0.5/s, 20/min."""

    def clean(self, value: str | None) -> float | None:
        if not (spelled := super().clean(value)):
            return None
        try:
            return pacing.per_second(spelled)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


class PaceForm(forms.Form):
    """The valve of a campaign: how many at a time, and how long between them; and its own limits."""

    batch_size = forms.IntegerField(
        label="Recipients per tranche",
        min_value=1,
        max_value=2**31 - 1,
        required=False,
        help_text="Empty: all at once.",
    )
    delay_period = forms.FloatField(
        label="Seconds between tranches", min_value=0, help_text="From a tranche's last text to the next tranche."
    )

    mps = RateField(
        label="Its own limit",
        required=False,
        max_length=20,
        help_text="Over all senders, as 3/s or 20/min. Empty: none.",
    )
    spend_cap = forms.DecimalField(
        label="Spend cap",
        min_value=Decimal("0.0001"),
        max_digits=10,
        decimal_places=4,
        required=False,
        help_text="What all of it may cost. Empty: none.",
    )

    line = forms.IntegerField(
        label="Conversations open at most",
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text="No more texts than bring replies that the team can answer. Empty: it waits for no replies.",
    )

    @classmethod
    def of(cls, campaign: Campaign) -> PaceForm:
        """The form as it stands for a campaign."""
        delay = campaign.delay_period
        return cls(
            initial={
                "batch_size": campaign.batch_size,
                "delay_period": int(delay) if delay.is_integer() else delay,
                "mps": _spelled(campaign.mps),
                "spend_cap": campaign.spend_cap,
                "line": campaign.reply_line,
            }
        )


def _spelled(mps: float | None) -> str:
    if mps is None:
        return ""
    return f"{mps:g}/s" if mps >= 1 or mps * 60 < 1 else f"{mps * 60:g}/min"
