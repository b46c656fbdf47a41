"""How is a value written on a page?"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from django import template
from django.templatetags.static import static
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from paceline.messaging.progress import in_words

register = template.Library()


@register.filter
def count(number: int) -> str:
    """12345 → "12,345"."""
    return f"{number:,}"


@register.filter
def rate(per_second: float | None) -> str:
    """4.9 → "4.9/s", 0.05 → "3/min"; None is no limit."""
    if per_second is None:
        return "no limit"
    if 0 < per_second < 0.1:
        return f"{per_second * 60:.2g}/min"
    return f"{per_second:.3g}/s" if per_second < 1000 else f"{per_second:,.0f}/s"


@register.filter
def duration(seconds: float) -> str:
    """A length of time in words."""
    return in_words(seconds)


@register.filter
def sentence(text: str) -> SafeString:
    """A sentence of ours, escaped, with what stands between backticks set as code."""
    escaped = conditional_escape(text)
    return mark_safe(re.sub(r"`([^`]*)`", r"<code>\1</code>", escaped))  # noqa: S308 - escaped in the line above


@register.filter
def fields(text: str) -> SafeString:
    """A campaign's text, escaped, with its {{ fields }} set apart."""
    escaped = conditional_escape(text)
    return mark_safe(re.sub(r"(\{\{[^{}]*\}\})", r'<span class="field">\1</span>', escaped))  # noqa: S308 - likewise


@register.simple_tag
def moment(at: datetime, style: str = "full") -> SafeString:
    """A moment in UTC, which live.js puts into the viewer's own zone; `style` is "full" or "clock"."""
    utc = at.astimezone(UTC)
    words = f"{utc:%H:%M}" if style == "clock" else f"{utc.day} {utc:%b %H:%M}"
    return format_html(
        '<time datetime="{}" data-style="{}" title="{} UTC">{} UTC</time>',
        f"{utc:%Y-%m-%dT%H:%M:%SZ}",
        style,
        f"{utc:%Y-%m-%d %H:%M:%S}",
        words,
    )


@register.simple_tag
def icon(name: str) -> SafeString:
    """A picture beside a word; screen readers pass it by."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("paceline/icons.svg"), name
    )
