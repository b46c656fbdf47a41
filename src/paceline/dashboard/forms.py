"""What may people type?"""

from __future__ import annotations

from django import forms


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
