"""Files as people have them: every encoding, delimiter and header, and a plain word about what cannot be read."""

import codecs
import json
import sys
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import pytest

from paceline.messaging.sheets import SheetError, check, field_key, open_sheet

ATTENDEES = Path(__file__).parents[2] / "examples" / "attendees.csv"
EXPECTED = json.loads(ATTENDEES.with_suffix(".expected.json").read_text())


@pytest.fixture
def sheet_of(tmp_path):
    """Opens a sheet with this content; text is written as UTF-8."""

    def write_and_open(content, region="US", column=None):
        path = tmp_path / "people.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_sheet(path, region=region, column=column)

    return write_and_open


def numbers_of(sheet):
    return [row.number for row in sheet]


# -- The example ----------------------------------------------------------------------------------------------------


def test_attendees_row_by_row():
    """All 800 rows of the example get the verdict that was written down for them, on the line that it names."""
    assert asdict(check(ATTENDEES, EXPECTED["default_region"])) == EXPECTED


def test_attendees_are_read_as_they_are():
    """The example has a byte-order mark, a header, and its numbers in the second column."""
    sheet = open_sheet(ATTENDEES, region="US")

    assert (sheet.encoding, sheet.delimiter, sheet.has_header) == ("utf-8-sig", ",", True)
    assert sheet.columns == ("Full name", "Mobile", "Role", "Team", "Confirmed")
    assert sheet.phone_column == "Mobile"
    first = next(iter(sheet))
    assert first.fields == {"full_name": "Nguyễn Lovelace", "role": "attendee", "team": "A", "confirmed": "1"}


def test_a_duplicate_names_the_first():
    """A later row with the same number, however it is spelled, says in which line the number was first."""
    rows = {row.line: row for row in open_sheet(ATTENDEES, region="US")}
    duplicates = [row for row in rows.values() if row.verdict == "duplicate"]

    assert len(duplicates) == EXPECTED["duplicate"]
    for row in duplicates:
        first = rows[row.first_line]
        assert (first.number, first.verdict) == (row.number, "ready")
        assert first.line < row.line
        assert str(first.line) in row.sentence


# -- Encodings ------------------------------------------------------------------------------------------------------

WESTERN = "Name;Handy\nZoë Müller;+4915123456789\nJosé Núñez;+34612345678\nSøren Ærø;+4532123456\n"
POLISH = "Imię;Telefon\nŁukasz Wójcik;+48512345678\nMichał Gąsior;+48512345679\n"
CZECH = "Jméno;Mobil\nJiří Dvořák;+420601123456\n"
RUSSIAN = "Имя;Телефон\nИван Петров;+79123456789\nОльга Сидорова;+79123456780\n"
CHINESE = "姓名;手机\n王小明;+8613123456789\n李小红;+8613123456780\n"
GREEK = "Όνομα;Κινητό\nΓιώργος Παπαδόπουλος;+306912345678\nΕλένη Γεωργίου;+306912345679\n"
JAPANESE = "名前;電話\n田中太郎;+819012345678\n鈴木花子;+819012345679\n"


@pytest.mark.parametrize(
    ("text", "written", "region", "read"),
    [
        (WESTERN, "utf-8", "DE", "utf-8"),
        (WESTERN, "utf-8-sig", "DE", "utf-8-sig"),
        (WESTERN, "utf-16", "DE", "utf-16"),
        (WESTERN, "cp1252", "DE", "cp1252"),
        (WESTERN, "cp1252", None, "cp1252"),
        (POLISH, "cp1250", "PL", "cp1250"),
        (POLISH, "cp1250", "US", "cp1250"),
        (CZECH, "cp1250", "CZ", "cp1250"),
        (RUSSIAN, "cp1251", "RU", "cp1251"),
        (JAPANESE, "cp932", "JP", "cp932"),
        (CHINESE, "gb18030", "CN", "gb18030"),
        (GREEK, "cp1253", "GR", "cp1253"),
        ("Name;Mobile\nMüller;+4915123456789\n", "cp1252", "DE", "cp1252"),  # a single accent
    ],
)
def test_encoding(sheet_of, text, written, region, read):
    """Names arrive as they were written, whatever the program that wrote them used."""
    sheet = sheet_of(text.encode(written), region)

    assert sheet.encoding == read
    assert [row.verdict for row in sheet] == ["ready"] * (text.count("\n") - 1)
    key = field_key(text.split(";")[0])
    assert [row.fields[key] for row in sheet] == [line.split(";")[0] for line in text.splitlines()[1:]]


def test_big_endian_utf_16(sheet_of):
    """The byte-order mark says so."""
    sheet = sheet_of(codecs.BOM_UTF16_BE + WESTERN.encode("utf-16-be"))

    assert sheet.columns == ("Name", "Handy")


def test_first_accent_far_into_the_file(sheet_of):
    """The whole file decides about its encoding, not its first rows."""
    plain = "".join(f"Ann;+1718555{n:04}\n" for n in range(100, 200)) * 100
    sheet = sheet_of(f"Name;Mobile\n{plain}Zoë;+12065550101\n".encode("cp1252"))

    assert sheet.encoding == "cp1252"
    assert [row.fields["name"] for row in sheet][-1] == "Zoë"


# -- Delimiters, headers, columns -----------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter(sheet_of, delimiter):
    """Each of the four usual ones."""
    lines = [("Name", "Mobile", "Note"), ("Ann", "+17185550126", "a b"), ("Bob", "+17185550127", "")]
    sheet = sheet_of("\n".join(map(delimiter.join, lines)))

    assert sheet.delimiter == delimiter
    assert numbers_of(sheet) == ["+17185550126", "+17185550127"]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("Lee, Ann;+17185550126\nRay, Bob;+17185550127\n", ";"),  # a comma in every name
        ("Name;Mobile\nAnn, Bob, Cy;+17185550126\n", ";"),
        ('Name,Mobile\n"Lee; Ann",+17185550126\n"Ray; Bob",+17185550127\n', ","),
        ("Name|Mobile|Note\nAnn|+17185550126|a,b,c,d\nBob|+17185550127|a,b,c,d\n", "|"),
        ("sep=;\nName;Mobile\nAnn;+17185550126\n", ";"),
        ("Mobile\n+17185550126\n+17185550127\n", ","),  # one column: no delimiter at all
    ],
)
def test_delimiter_among_others(sheet_of, text, delimiter):
    """The one that cuts out the numbers, not the one that occurs most."""
    sheet = sheet_of(text)

    assert sheet.delimiter == delimiter
    assert numbers_of(sheet)[0] == "+17185550126"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("Name,Mobile\nAnn,+17185550126\n", ("Name", "Mobile")),
        ("Ann,+17185550126\nBob,+17185550127\n", None),
        ("Ann,718 555 0126\n", None),
        ("Ann,2.06556e+09\nBob,+17185550127\n", None),
        ("Ann,12345\nBob,+17185550127\n", None),  # a number, if not a telephone number, and no word for one
        ("Name,Mobile,2024\nAnn,+17185550126,yes\n", ("Name", "Mobile", "2024")),
        ("+17185550126\n", None),
        (",Mobile,\nAnn,+17185550126,x\n", ("column 1", "Mobile", "column 3")),
    ],
)
def test_header_or_none(sheet_of, text, columns):
    """A header holds no telephone number. Without one the columns are numbered and no row is lost."""
    sheet = sheet_of(text)

    assert sheet.has_header is (columns is not None)
    assert sheet.columns == (columns or tuple(f"column {n}" for n in range(1, text.split("\n")[0].count(",") + 2)))
    assert len(list(sheet)) == text.count("\n") - sheet.has_header


@pytest.mark.parametrize(
    "header",
    [
        "Phone",
        "Mobile",
        "Cell",
        "telephone",
        "Number",
        "MSISDN",
        "Tel.",
        "Handy",
        "Téléphone",
        "Móvil",
        "Celular",
        "mobile_number",
        "PhoneNumber",
        "Handynummer",
        "Telefonnummer",
        "Ｐｈｏｎｅ",
        "Phone 1 - Value",
    ],
)
def test_header_word(sheet_of, header):
    """The header tells the column even when no number in it is valid."""
    sheet = sheet_of(f"Name,{header},City\nAnn,call me,Rome\n")

    assert sheet.phone_column == header
    assert [row.reason for row in sheet] == ["letters"]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("Name,Reach me at\nAnn,+17185550126\n", "Reach me at"),  # by content alone
        ("Number,Reach me at\n1,+17185550126\n2,+17185550127\n", "Reach me at"),  # "Number" counts the rows
        ("Phone type,Phone\nmobile,+17185550126\nhome,+17185550127\n", "Phone"),
        ("Phone,Mobile\n+17185550126,+17185550127\n", "Mobile"),  # a text wants the mobile
        ("Phone,Mobile\n+17185550126,\n+17185550128,+17185550127\n", "Mobile"),  # even if not everybody has one
        ("Phone,Mobile\n+17185550126,none\n", "Phone"),
        ("Fax,Reach me at\n+17185550126,+17185550127\n", "Reach me at"),
        ("Hotel,Cancelled,Reach me at\nRitz,no,+17185550127\n", "Reach me at"),  # neither a tel nor a cell
    ],
)
def test_column_among_others(sheet_of, text, column):
    """Between several columns their cells decide, then their headers."""
    assert sheet_of(text).phone_column == column


@pytest.mark.parametrize("column", ["Work", "work", " WORK ", "3"])
def test_column_named_by_the_caller(sheet_of, column):
    """By its header in any case, or by its place from 1; it wins over everything we would have guessed."""
    sheet = sheet_of("Name,Mobile,Work\nAnn,+17185550126,+17185550127\n", column=column)

    assert numbers_of(sheet) == ["+17185550127"]
    assert next(iter(sheet)).fields == {"name": "Ann", "mobile": "+17185550126"}


@pytest.mark.parametrize("column", ["Phone", "0", "4", ""])
def test_unknown_column(sheet_of, column):
    """The refusal lists the columns there are."""
    with pytest.raises(SheetError, match="Name, Mobile, Work"):
        sheet_of("Name,Mobile,Work\nAnn,+17185550126,\n", column=column)


# -- Rows -----------------------------------------------------------------------------------------------------------


def test_lines_of_quoted_cells(sheet_of):
    """A row's line is where it starts in the file, though cells before it span several lines."""
    text = 'Name,Mobile,Note\r\nAnn,+17185550126,"one\r\ntwo\r\n\r\nthree"\r\nBob,+17185550127,"a ""b"""\r\n'
    rows = list(sheet_of(text))

    assert [(row.line, row.number) for row in rows] == [(2, "+17185550126"), (6, "+17185550127")]
    assert [row.fields["note"] for row in rows] == ["one\r\ntwo\r\n\r\nthree", 'a "b"']


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(sheet_of, end):
    """Of any system, the last one missing."""
    sheet = sheet_of(f"Name,Mobile{end}{end}Ann,+17185550126{end},{end}Bob,nobody")

    assert [(row.line, row.reason) for row in sheet] == [(3, ""), (4, "empty"), (5, "letters")]


def test_ragged_rows(sheet_of):
    """A short row is a row without a number; a long one keeps its further cells under names of their own."""
    short, long, exact = sheet_of("Name,Mobile,Extra 1\nAnn\nBob,+17185550127,x,y,z\nCy,+17185550128,x\n")

    assert (short.verdict, short.reason, short.raw) == ("invalid", "empty", "")
    assert short.fields == {"name": "Ann", "extra_1": ""}
    assert long.fields == {"name": "Bob", "extra_1": "x", "extra_1_2": "y", "extra_2": "z"}
    assert exact.fields == {"name": "Cy", "extra_1": "x"}


def test_field_keys_are_unique(sheet_of):
    """Two columns of one name are two fields, and one without a name is called by its place."""
    sheet = sheet_of("Name,Mobile,name, NAME! ,\nAnn,+17185550126,b,c,d\n")

    assert next(iter(sheet)).fields == {"name": "Ann", "name_2": "b", "name_3": "c", "column_5": "d"}


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Full name", "full_name"),
        ("  E-Mail (work) ", "e_mail_work"),
        ("Straße", "strasse"),
        ("Ｒｏｌｅ", "role"),
        ("---", ""),
    ],
)
def test_field_key(header, key):
    """A word that a text can use between braces."""
    assert field_key(header) == key


def test_cells_are_trimmed_but_the_raw_number_is_not(sheet_of):
    """A name goes into a greeting; the number is shown to its owner as it stands in the file."""
    (row,) = sheet_of("Name,Mobile\n Ann , 718 555 0126 \n")

    assert (row.fields["name"], row.raw, row.number) == ("Ann", " 718 555 0126 ", "+17185550126")


def test_each_pass_is_fresh(sheet_of):
    """A sheet can be read twice, with the same verdicts."""
    sheet = sheet_of("Mobile\n+17185550126\n718-555-0126\n")

    assert list(sheet) == list(sheet)
    assert [row.verdict for row in sheet] == ["ready", "duplicate"]


def test_header_alone(sheet_of):
    """A template that nobody filled in is a sheet without rows."""
    assert list(sheet_of("Name,Mobile\n")) == []


def test_memory_does_not_grow_with_the_file(sheet_of):
    """Ten times the rows, the same memory: only numbers that were seen are kept."""

    def peak(rows):
        content = "Name,Mobile\n" + "".join(f"Somebody {n},+17185550{n % 90 + 110}\n" for n in range(rows))
        sheet = sheet_of(content)
        del content
        tracemalloc.start()
        for _ in sheet:
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)

    assert peak(10_000) < peak(1_000) + 20_000


# -- What cannot be read --------------------------------------------------------------------------------------------

QUOTE_FROM_LINE_3 = 'Name,Mobile\nAnn,+17185550126\n"Bob,+17185550127\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\r\n\n", "empty"),
        (codecs.BOM_UTF8, "empty"),
        (b"PK\x03\x04\x14\x00rest", "save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "save it as CSV"),
        (b"Name,Mobile\nAnn,+1718\x005550126\n", "save it as CSV"),
        ("Name,Mobile\nAnn,+17185550126\n".encode("utf-16-le"), "save it as CSV"),
        (codecs.BOM_UTF16_LE + b"N\x00a\x00\x00\xd8", "UTF-16"),
        (b"Name,City\nAnn,Rome\n", "Name, City"),
        (b"Name,Mobile\nAnn," + b"7" * 10_001 + b"\n", "line 2 is longer than 10000"),
        (b"Name,Mobile\nAnn," + b"7" * 200_000 + b"\n", "Line 2"),
        (b"x" * 2_000_000, "longer than 1000000"),
        (b"Name,Mobile\nAnn" + b"," * 1_000 + b"\n", "1001 columns"),
        (QUOTE_FROM_LINE_3, "line 3"),
        ('Name,Mobile\nAnn,+17185550126\nBob,"', "line 3"),
        (QUOTE_FROM_LINE_3 + "Cy,+17185550128\n" * 20_000, "line 3"),
        (QUOTE_FROM_LINE_3 + 'Cy,+17185550128\n"Di,+17185550129\nEd,+17185550130\n', "line 3"),
    ],
)
def test_what_is_no_sheet(sheet_of, content, message):
    """The refusal says where and what to do about it; nothing is swallowed."""
    with pytest.raises(SheetError, match=message):
        list(sheet_of(content))


def test_a_quote_inside_a_cell_is_only_a_quote(sheet_of):
    """Inches and nicknames do not open anything."""
    rows = list(sheet_of('Name,Mobile,Size\nAnn "Annie" Lee,+17185550126,12"\n"Bob" Ray,+17185550127,3"\n'))

    assert [row.fields["name"] for row in rows] == ['Ann "Annie" Lee', "Bob Ray"]


def test_rows_before_a_break_are_read(sheet_of):
    """A break far into the file comes up when the pass gets there, with the line of it."""
    good = "".join(f"Ann,+1718555{n:04}\n" for n in range(100, 200)) * 10
    rows = iter(sheet_of(f'Name,Mobile\n{good}"Bob,+12065550101\n'))

    for line in range(2, 1002):
        assert next(rows).line == line
    with pytest.raises(SheetError, match="line 1002"):
        next(rows)


def test_unknown_region(sheet_of):
    """Found before a single row is called invalid for it."""
    with pytest.raises(SheetError, match="UK"):
        sheet_of("Mobile\n718-555-0126\n", region="UK")


def test_no_region(sheet_of):
    """Numbers that say their country need none; the others are told so."""
    rows = sheet_of("Mobile\n+17185550126\n718-555-0127\n", region=None)

    assert [row.reason for row in rows] == ["", "unknown_country"]


def test_without_the_optional_guesser(sheet_of, monkeypatch):
    """The library alone, without the server's extras, reads what is not UTF-8 as cp1252."""
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)

    assert sheet_of(WESTERN.encode("cp1252")).encoding == "cp1252"
