"""Fields in a text by an author whom nobody vouches for."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline.sms.errors import TemplateError
from paceline.sms.templates import missing, parse, render


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain", "Plain"),
        ("", ""),
        ("Hi {{ name }}!", "Hi Anna!"),
        ("Hi {{name}}!", "Hi Anna!"),
        ("{{ name }}{{ name }}", "AnnaAnna"),
        ("Hi {{\n name\t}}", "Hi Anna"),
        ('Hi {{ name|default("there") }}', "Hi Anna"),
        ('Hi {{ nobody|default("there") }}', "Hi there"),
        ("Hi {{ nobody|default('there') }}", "Hi there"),
        ("Hi {{nobody | default ( 'you \"all\"' )}}", 'Hi you "all"'),
        ('{{ nobody|default("") }}.', "."),
        ('{{ nobody|default("}} {{ {% |") }}', "}} {{ {% |"),
        ('Hi {{ blank|default("there") }}', "Hi there"),
        ("{{ prénom }} {{ имя }} {{ _x1 }}", "Zoë Иван 1"),
        ("{ name } {name} } { {{ name }}}", "{ name } {name} } { Anna}"),
        ("100 %} of {# it #}", "100 %} of {# it #}"),
        ("${name} %(name)s %s \\1", "${name} %(name)s %s \\1"),
    ],
)
def test_rendering(text, expected):
    """Fields and defaults are replaced; everything else, single braces too, is plain text."""
    fields = {"name": "Anna", "blank": " \t\u00a0", "prénom": "Zoë", "имя": "Иван", "_x1": "1"}

    assert render(text, fields) == expected
    assert render(parse(text), fields) == expected


@pytest.mark.parametrize(
    "value",
    ["{{ secret }}", '{{ a|default("b") }}', "{% debug %}", "}}", " padded ", "\\1 \\g<0> %s", "<b>&amp;", "\u202e"],
)
def test_a_value_that_looks_like_a_template(value):
    """goes in as it is: never read again, never escaped, never trimmed."""
    assert render("[{{ name }}]", {"name": value, "secret": "s3cret", "a": "a"}) == f"[{value}]"


@pytest.mark.parametrize("fields", [{}, {"name": ""}, {"name": "  \n"}])
def test_a_missing_or_blank_field(fields):
    """is an error that names it; no text goes out with a gap."""
    with pytest.raises(TemplateError, match="“name” is missing or blank"):
        render("Hi {{ name }}", fields)

    assert missing("Hi {{ name }}", fields) == ("name",)


def test_what_a_text_needs():
    """`fields` are all names, `required` those that lack a default somewhere; `missing` is in the text's order."""
    template = parse('{{ b }} {{ a|default("x") }} {{ c }} {{ b|default("y") }} {{ b }}')

    assert template.fields == {"a", "b", "c"}
    assert template.required == {"b", "c"}
    assert missing(template, {}) == ("b", "c")
    assert missing(template, {"b": "1", "c": " "}) == ("c",)
    assert missing(template, {"b": "1", "c": "2"}) == ()


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("Hi {% debug %}", 4, "tags do not work here"),
        ("{{ x.__class__ }}", 1, "“{{ x.__class__ }}” is not a field"),
        ("{{ x|upper }}", 1, "“{{ x|upper }}” is not a field"),
        ("{{ x|default }}", 1, "is not a field"),
        ("{{ x|default() }}", 1, "is not a field"),
        ("{{ x|default(there) }}", 1, "is not a field"),
        ("{{ x|default(\"a') }}", 1, "is not a field"),
        ('{{ x|default("a")|upper }}', 1, "is not a field"),
        ("{{ x[0] }}", 1, "is not a field"),
        ("{{ 7*7 }}", 1, "is not a field"),
        ("{{ 1st }}", 1, "no digit first"),
        ("{{ first name }}", 1, "is not a field"),
        ("Hi {{{ name }}}", 4, "is not a field"),
        ("{{ }}", 1, "names no field"),
        ("{{}}", 1, "names no field"),
        ("Hi {{ name", 4, "never closed"),
        ("Hi {{ name }", 4, "never closed"),
        ("Hi {{", 4, "never closed"),
        ("{{ a }} {{ b {{ c }}", 9, "never closed"),
        ("Hi }} there", 4, "closes nothing"),
        ("{{ name }}}}", 11, "closes nothing"),
        ("{{ " + "x " * 500 + "}}", 1, "…” is not a field"),
    ],
)
def test_what_is_not_a_field(text, position, says):
    """is an error when it is read, before anybody is texted: where, what, and how to write it."""
    with pytest.raises(TemplateError) as caught:
        parse(text)

    sentence = str(caught.value)
    assert sentence.startswith(f"At character {position}: ")
    assert says in sentence
    assert '{{ name }} or {{ name|default("there") }}' in sentence
    assert len(sentence) < 300


HOSTILE = 65536


@pytest.mark.parametrize(
    "text",
    [
        "{{" * (HOSTILE // 2),
        "{{ " + " " * HOSTILE,
        "{{ a" + " " * HOSTILE + "|" + " " * HOSTILE + "default",
        "{{" + "a" * HOSTILE,
        "{{a" * (HOSTILE // 3),
        '{{a|default("' + "x" * HOSTILE,
        "{" + "{ " * (HOSTILE // 2),
        "{{ a }}" * (HOSTILE // 7),
    ],
    ids=lambda text: text[:9].strip(),
)
def test_a_hostile_text(text):
    """of 64 KB is read, or turned down, within 50 ms: in linear time, where going back over it would take seconds."""
    assert min(_seconds_to_parse(text) for _ in range(3)) < 0.05


def _seconds_to_parse(text):
    begun = time.process_time()
    try:
        parse.__wrapped__(text)  # past the cache
    except TemplateError as error:
        assert len(str(error)) < 300
    return time.process_time() - begun


names = st.sampled_from(["a", "b", "_1", "имя", "default"])
plain = st.text(st.sampled_from("aé😀 {}%|\"'")).filter(lambda text: not re.search(r"\{\{|\}\}|\{%", text))


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(st.tuples(plain, names)),
    fields=st.dictionaries(names, st.text(st.sampled_from("aé {}%|"))),
)
def test_any_text_renders_to_its_pieces(pieces, fields):
    """Plain text comes out as written, each field as its value, or as its default where that is blank."""
    # Spaces keep a plain brace from pairing with a field's own.
    text = "".join(f'{plain} {{{{ {name}|default("-") }}}} ' for plain, name in pieces)
    expected = "".join(f"{plain} {fields[name] if fields.get(name, '').strip() else '-'} " for plain, name in pieces)

    assert render(text, fields) == expected
