"""What may people type?"""

from __future__ import annotations

from django import forms

from paceline.messaging.models import Campaign


class PaceForm(forms.Form):
    """The valve of a campaign: how many at a time, and how long between them."""

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

    @classmethod
    def of(cls, campaign: Campaign) -> PaceForm:
        """The form as it stands for a campaign."""
        delay = campaign.delay_period
        return cls(
            initial={
                "batch_size": campaign.batch_size,
                "delay_period": int(delay) if delay.is_integer() else delay,
            }
        )
