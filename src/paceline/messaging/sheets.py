"""What is in this file of phone numbers? One streaming pass over a CSV file of any size says it row by row.

Encoding, delimiter, header and phone column are found by looking, or named by the caller. A row is ready, a
duplicate of an earlier row, or invalid for a reason that a person can act on; none is dropped in silence, but for
lines that hold nothing at all. The memory that a pass takes is that of the numbers seen, as integers.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from paceline.sms import numbers
from paceline.sms.errors import InvalidNumber, PacelineError

Verdict = Literal["ready", "duplicate", "invalid"]

MAX_COLUMNS = 1_000
MAX_FIELD = 10_000
"""Characters in one cell."""
MAX_LINE = 1_000_000
"""Characters: a line twice as long is always refused, so that no file makes us hold more than that at once."""
MAX_QUOTED = 100_000
"""Characters in a row of several lines: beyond it, its quote was never meant to be one."""

_DELIMITERS = ",;\t|"
_SAMPLE_CHARACTERS = 65_536
_SAMPLE_ROWS = 50
_GUESS_BYTES = 32_768


class SheetError(PacelineError):
    """A file that cannot be read as a sheet of phone numbers. The message says what to change."""


class Row(NamedTuple):
    """One row of the sheet. `number` is E.164 with the plus, None when invalid; `raw` is the cell as it stands.

    `line` is where the row starts in the file, from 1; a duplicate's `first_line` is that of the row it repeats.
    `reason` is a machine word (`InvalidNumber`'s, or "duplicate"), `sentence` is for people; both are empty when ready.
    `fields` holds the other columns' cells by `field_key`, without the space around them.
    """

    line: int
    raw: str
    number: str | None
    verdict: Verdict
    reason: str
    sentence: str
    fields: dict[str, str]
    first_line: int | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file, and how to read it. Each iteration is a fresh pass, and raises `SheetError` where the file breaks."""

    path: Path
    region: str | None
    encoding: str
    delimiter: str
    has_header: bool
    columns: tuple[str, ...]
    phone_index: int
    field_keys: tuple[str, ...] = field(repr=False)

    @property
    def phone_column(self) -> str:
        """The name of the column that holds the numbers."""
        return self.columns[self.phone_index]

    def __iter__(self) -> Iterator[Row]:
        region, phone = self.region, self.phone_index
        first_lines: dict[int, int] = {}
        rows = _rows(self.path, self.encoding, self.delimiter)
        for line, cells in islice(rows, int(self.has_header), None):
            fields = self._fields(cells)
            raw = cells[phone] if phone < len(cells) else ""
            try:
                number = numbers.normalize(raw, region)
            except InvalidNumber as error:
                yield Row(line, raw, None, "invalid", error.reason, str(error), fields)
                continue
            first_line = first_lines.setdefault(int(number), line)
            if first_line == line:
                yield Row(line, raw, number, "ready", "", "", fields)
            else:
                sentence = f"The same number as in line {first_line}."
                yield Row(line, raw, number, "duplicate", "duplicate", sentence, fields, first_line)

    def _fields(self, cells: Sequence[str]) -> dict[str, str]:
        keys = self.field_keys
        fields = dict(zip(keys, map(str.strip, cells), strict=False))
        if len(cells) < len(keys):
            fields.update(dict.fromkeys(keys[len(cells) :], ""))
        fields.pop(keys[self.phone_index], None)
        if len(cells) > len(keys):
            extra = _unique([*keys, *(f"extra_{n}" for n in range(1, len(cells) - len(keys) + 1))])[len(keys) :]
            fields.update(zip(extra, map(str.strip, cells[len(keys) :]), strict=True))
        return fields


@dataclass(frozen=True, slots=True)
class Check:
    """The verdict on every row, in a shape that `dataclasses.asdict` makes ready for JSON.

    `verdicts` holds [line, verdict, number or None] in the order of the file.
    """

    default_region: str | None
    rows: int
    ready: int
    duplicate: int
    invalid: int
    verdicts: list[list[int | str | None]] = field(repr=False)


def open_sheet(path: Path, *, region: str | None = None, column: str | None = None) -> Sheet:
    """How to read the file at `path`. Reads it once to the end, but keeps no more of it than a sample.

    `region` (ISO 3166 alpha-2) is the country of numbers that do not say theirs. `column` names the phone column by
    its header, in any case, or by its place from 1; without it the header's words and the cells decide.
    Raises `SheetError` for what is no sheet, and `OSError` for what cannot be opened.
    """
    region = region.upper() if region else None
    if region and region not in numbers.regions():
        raise SheetError(f"{region} is not the code of a country: use two letters such as US or GB.")
    encoding = _encoding(path, region)
    delimiter = _delimiter(path, encoding)
    rows = [cells for _, cells in islice(_rows(path, encoding, delimiter), _SAMPLE_ROWS)]
    if not rows:
        raise SheetError("This file is empty.")
    has_header = _is_header(rows[0])
    width = len(rows[0]) if has_header else max(map(len, rows))
    names = [cell.strip() for cell in rows[0]] if has_header else [""] * width
    columns = tuple(name or f"column {place}" for place, name in enumerate(names, 1))
    samples = rows[has_header:]
    phone_index = _find_column(columns, samples, region) if column is None else _named_column(columns, column)
    keys = [field_key(name) or f"column_{place}" for place, name in enumerate(columns, 1)]
    return Sheet(path, region, encoding, delimiter, has_header, columns, phone_index, tuple(_unique(keys)))


def check(path: Path, region: str | None = None, column: str | None = None) -> Check:
    """The verdict on every row of the file at `path`, held in memory: for files that a person would open.

    Raises what `open_sheet` raises.
    """
    sheet = open_sheet(path, region=region, column=column)
    verdicts: list[list[int | str | None]] = [[row.line, row.verdict, row.number] for row in sheet]
    count = Counter(verdict for _, verdict, _ in verdicts)
    return Check(sheet.region, len(verdicts), count["ready"], count["duplicate"], count["invalid"], verdicts)


def field_key(header: str) -> str:
    """The name by which texts call a column: "Full name" is `full_name`. Empty when the header has no word in it."""
    return re.sub(r"\W+", "_", unicodedata.normalize("NFKC", header).casefold()).strip("_")


def _unique(keys: Iterable[str]) -> list[str]:
    """The same keys in the same order; a key that is taken gets a number."""
    unique: dict[str, None] = {}
    for key in keys:
        name, count = key, 1
        while name in unique:
            count += 1
            name = f"{key}_{count}"
        unique[name] = None
    return list(unique)


# -- Rows -----------------------------------------------------------------------------------------------------------


class _Lines:
    """The lines of a file, and those among them that the row being read has taken so far."""

    def __init__(self, file: Iterable[str]) -> None:
        self.file = file
        self.number = 0
        self.taken: list[str] = []
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        taken, size = self.taken, 0
        for line in self.file:
            self.number += 1
            if taken:
                size += len(line)
                if size > MAX_QUOTED:
                    raise _open_quote(self.number - len(taken))
            else:
                size = len(line)
            taken.append(line)
            yield line
        self.ended = True


def _rows(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not an empty line, with the line on which it starts."""
    errors = "strict" if encoding.startswith("utf") else "replace"
    with path.open(encoding=encoding, errors=errors, newline="") as file:
        lines = _Lines(file)
        reader = csv.reader(_after_hint(lines), delimiter=delimiter)
        taken = lines.taken
        try:
            for cells in reader:
                if cells:
                    start = lines.number - len(taken) + 1
                    _refuse_broken(start, cells, lines, delimiter)
                    yield start, cells
                taken.clear()
        except csv.Error as error:
            raise SheetError(f"Line {lines.number} cannot be read: {error}.") from error


def _after_hint(lines: _Lines) -> Iterator[str]:
    """The lines without a first line `sep=;`, by which spreadsheets tell each other the delimiter."""
    for line in lines:
        if lines.number == 1 and _SEP_HINT.match(line):
            lines.taken.clear()
        else:
            yield line


def _refuse_broken(start: int, cells: list[str], lines: _Lines, delimiter: str) -> None:
    if len(cells) > MAX_COLUMNS:
        raise SheetError(f"Line {start} has {len(cells)} columns; at most {MAX_COLUMNS} can be read.")
    if lines.ended or (len(lines.taken) > 1 and not _quotes_close(lines.taken, delimiter)):
        # The reader asked for more lines than there are, or a later quote closed this one by chance.
        raise _open_quote(start)
    if sum(map(len, lines.taken)) > MAX_FIELD and max(map(len, cells)) > MAX_FIELD:
        raise SheetError(f"A cell of line {start} is longer than {MAX_FIELD} characters.")


def _quotes_close(lines: list[str], delimiter: str) -> bool:
    """True when every quoted cell of these lines ends at a delimiter or at the end of a line."""
    try:
        for _ in csv.reader(lines, delimiter=delimiter, strict=True):
            pass
    except csv.Error:
        return False
    return True


def _open_quote(line: int) -> SheetError:
    return SheetError(f'A quote (") is opened on line {line} and not closed: remove it, or write it twice.')


# -- Encoding -------------------------------------------------------------------------------------------------------

_BINARY = {
    b"PK\x03\x04": "an Excel or OpenDocument workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a compressed archive",
}

_LATIN_BY_REGION = {
    "cp1250": frozenset({"AL", "BA", "CZ", "HR", "HU", "ME", "PL", "RO", "SI", "SK"}),
    "cp1254": frozenset({"TR"}),
    "cp1257": frozenset({"EE", "LT", "LV"}),
}
"""What Windows programs write there when they do not write UTF-8; cp1252 elsewhere."""

_CODE_PAGES = [*(f"cp125{n}" for n in range(9)), "cp874", "cp932", "cp949", "gb18030", "big5"]
"""Those in which spreadsheets save CSV."""

_ADJACENT = re.compile(rb"[\x80-\xff]{2}")

_NO_CP1252 = re.compile(r"[^\W\d_][£¥¯³¹¼¾]|[£¥¯¾][^\W\d_]")
"""Signs of cp1252 inside a word: in the code pages that it is taken for, they are letters."""


def _encoding(path: Path, region: str | None) -> str:
    """The encoding in which the whole file reads as text; raises `SheetError` when it is no text."""
    with path.open("rb") as file:
        head = file.read(4)
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            raise SheetError(f"This is {what}: open it in its own program and save it as CSV.")
    encoding = "utf-8"
    if head.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        _read_through(path, encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise SheetError("This file begins as UTF-16 but is broken: save it again as CSV in UTF-8.") from error
        encoding = _guess(path, region)
        _read_through(path, encoding, errors="replace")
    return encoding


def _read_through(path: Path, encoding: str, errors: str = "strict") -> None:
    """Reads the file to its end, for what no line of text holds, and for lines that are none."""
    with path.open(encoding=encoding, errors=errors, newline="") as file:
        while chunk := file.read(MAX_LINE):
            if "\0" in chunk:
                raise SheetError("This is not a text file: open it in its own program and save it as CSV.")
            if len(chunk) == MAX_LINE and "\n" not in chunk and "\r" not in chunk:
                raise SheetError(f"A line of this file is longer than {MAX_LINE} characters.")


def _guess(path: Path, region: str | None) -> str:
    """The likeliest encoding of a file that is not UTF-8, from the lines that are not ASCII."""
    telling = bytearray()
    with path.open("rb") as file:
        for line in file:
            if not line.isascii():
                telling += line
                if len(telling) > _GUESS_BYTES:
                    break
    sample = bytes(telling[:_GUESS_BYTES])
    usual = next((page for page, places in _LATIN_BY_REGION.items() if region in places), "cp1252")
    text = sample.decode(usual, "replace")
    fits = "\ufffd" not in text and not (usual == "cp1252" and _NO_CP1252.search(text))
    # Accents stand alone among ASCII letters; other scripts hardly ever do. And no statistics of a few names tell one
    # Latin code page from another, so unless the bytes forbid it we take the one that is usual in the country.
    if fits and not _ADJACENT.search(sample):
        return usual
    guess = _likeliest(sample)
    return usual if fits and _is_latin(sample.decode(guess, "replace")) else guess


def _likeliest(sample: bytes) -> str:
    try:
        from charset_normalizer import from_bytes
    except ImportError:  # an optional dependency
        return "cp1252"
    best = from_bytes(sample, cp_isolation=_CODE_PAGES).best()
    return best.encoding if best else "cp1252"


def _is_latin(text: str) -> bool:
    letters = (char for char in text if char.isalpha() and not char.isascii())
    return all(unicodedata.name(char, "").startswith("LATIN") for char in letters)


# -- Delimiter, header, column --------------------------------------------------------------------------------------

_SEP_HINT = re.compile(r"sep=(.)\s*$", re.IGNORECASE)

_NUMBER_SHAPE = re.compile(r"\W*(?:tel:)?(?:[^\w,;|]*\d){7,17}\W*|\W*\d[.,]?\d*e[+-]?\d+\W*", re.IGNORECASE)

_LONGEST_NUMBER = 60
"""Characters; longer cells are not looked at, which also bounds the time that the shape takes to fail."""

_FAX = ("fax", "telefax", "telecopie")
_MOBILE = ("mobil", "mobile", "cell", "cellular", "handy", "movil", "celular", "cellulare", "portable", "gsm", "msisdn")
_PHONE = (
    "phone",
    "telefon",
    "telephone",
    "tel",
    "telefono",
    "telefone",
    "telefoon",
    "telefonnummer",
    "sms",
    "whatsapp",
)
_VAGUE = ("number", "numero", "nummer", "contact", "recipient", "to")


def _looks_like_number(cell: str) -> bool:
    """True for what could be a telephone number of some country, or was one before a spreadsheet had it."""
    return len(cell) <= _LONGEST_NUMBER and _NUMBER_SHAPE.fullmatch(cell) is not None


def _is_header(cells: Sequence[str]) -> bool:
    """True for names of columns: no telephone number and, unless a word promises one, no other number either."""
    if any(map(_looks_like_number, cells)):
        return False
    return any(_header_rank(cell) > 0 for cell in cells) or not any(map(_has_only_digits, cells))


def _has_only_digits(cell: str) -> bool:
    return any(map(str.isdigit, cell)) and not any(map(str.isalpha, cell))


def _delimiter(path: Path, encoding: str) -> str:
    """The delimiter that cuts most of the first rows into equally many cells, and cuts out numbers."""
    errors = "strict" if encoding.startswith("utf") else "replace"
    with path.open(encoding=encoding, errors=errors, newline="") as file:
        text = file.read(_SAMPLE_CHARACTERS)
    if hint := _SEP_HINT.match(text.splitlines()[0] if text else ""):
        return hint[1]
    best, best_score = ",", (0.0, 0.0, 1)
    for delimiter in _DELIMITERS:
        rows = list(islice(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)), _SAMPLE_ROWS))
        if not rows:
            continue
        width, count = Counter(map(len, rows)).most_common(1)[0]
        if width > 1:
            with_number = sum(any(map(_looks_like_number, cells)) for cells in rows)
            score = (with_number / len(rows), count / len(rows), width)
            if score > best_score:
                best, best_score = delimiter, score
    return best


def _named_column(columns: Sequence[str], wanted: str) -> int:
    """The place of the column that the caller names; raises `SheetError` listing those there are."""
    known = [name.casefold() for name in columns]
    name = wanted.strip().casefold()
    if name in known:
        return known.index(name)
    if name.isdecimal() and 1 <= int(name) <= len(columns):
        return int(name) - 1
    raise SheetError(f"There is no column “{wanted}” in this file. {_listed(columns)}")


def _find_column(columns: Sequence[str], rows: Sequence[Sequence[str]], region: str | None) -> int:
    """The place of the column that holds the numbers: what is in it decides, its header decides between equals."""

    def score(index: int) -> tuple[bool, int, float, float]:
        cells = [cells[index] for cells in rows if index < len(cells) and cells[index].strip()]
        valid = _share(cells, lambda cell: numbers.is_valid(cell, region))
        return valid >= 0.25, _header_rank(columns[index]), valid, _share(cells, _looks_like_number)

    candidates = {index: score(index) for index, name in enumerate(columns) if _header_rank(name) >= 0}
    index = max(candidates, key=candidates.__getitem__, default=None)
    if index is not None:
        filled, rank, _, shaped = candidates[index]
        if filled or rank > 0 or shaped >= 0.5:
            return index
    raise SheetError(
        f"No column of this file seems to hold telephone numbers: name the one that does. {_listed(columns)}"
    )


def _share(cells: Sequence[str], test: Callable[[str], bool]) -> float:
    return sum(map(test, cells)) / len(cells) if cells else 0.0


def _header_rank(header: str) -> int:
    """How much a header promises: 3 a mobile number, 2 a telephone number, 1 some number, 0 nothing, -1 a fax."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", header.casefold()) if not unicodedata.combining(c))
    words = re.findall(r"[^\W\d_]+", plain)
    for rank, known in ((-1, _FAX), (3, _MOBILE), (2, _PHONE), (1, _VAGUE)):
        if any(word in known for word in words):
            return rank
    # mobilephone, Handynummer; cellphone, homephone, Telefonnummer
    if any(word.startswith(("mobil", "handy", "cellphone")) for word in words):
        return 3
    return 2 if any("phone" in word or "telef" in word for word in words) else 0


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:20])
    return f"Its columns are: {shown}{', …' if len(columns) > 20 else ''}."
