"""Read a file of separated fields: fast where it is whole, and to the line where it is not.

Arrow reads a whole file at once, but is silent about a quote that is never closed and vague about where a row is
broken. So its result counts only for a file in which every row and every quote is in order; any other file is read
again, line by line, which finds each broken row and its line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from sottovoce.common.errors import DataError
from sottovoce.simulations.datasets.tables import Column, Table

_ARROW_SEPARATOR = "\x1f"  # stands in for a separator of two characters
_BLOCK = 1 << 24
_LONGEST_HEADER = 1 << 16
_FOREIGN = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2"}
_FIRST_LINE = re.compile(rb"^[^\r\n]*")
_BAD_BYTE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Layout:
    """How rows are written.

    Attributes:
        separator: What stands between two fields.
        names: The columns, or `None` where the first line names them.
        quoted: Whether a field may stand in double quotes.
        latin1: Whether a file that is not UTF-8 is Latin-1 (MovieLens' older releases are).
    """

    separator: str
    names: tuple[str, ...] | None = None
    quoted: bool = False
    latin1: bool = False


def read_delimited(path: Path, layout: Layout, lenient: bool) -> Table:
    """Read every column of `path` as text.

    Raises:
        DataError: the file is missing, empty, of another format, or (unless `lenient`) has a broken row.
    """
    data = _content(path, layout)
    names = layout.names or _header(path, data, layout)
    columns = _read_whole(data, names, layout)
    if columns is not None:
        return Table(path, columns, lambda row: _line_of(data, row, header=layout.names is None))
    return _read_rows(path, data, names, layout, lenient)


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: there is none.
    """
    require_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    if not data or data.isspace():
        raise DataError(path, "the file is empty")
    return data


def require_file(path: Path) -> None:
    """Refuse what is not a regular file.

    Raises:
        DataError: there is nothing at `path`, or something else.
    """
    if path.is_dir():
        raise DataError(path, "a folder, where a file is expected")
    if not path.is_file():
        raise DataError(path, "not a file (a pipe or a device)" if path.exists() else "no such file")


def sniff_separator(path: Path) -> str:
    """The separator of a CSV file: whichever of comma, semicolon and tab its first line has most of."""
    try:
        with path.open("rb") as file:
            first = file.readline(_LONGEST_HEADER).decode("utf-8", "replace")
    except OSError:
        return ","  # the reader says what is wrong
    return max(",;\t", key=first.count)


def refuse_repeated_names(path: Path, names: tuple[str, ...]) -> None:
    """Refuse a header in which a name does not tell a column."""
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(path, f"two columns are named {twice[0]!r}", 1)


def _content(path: Path, layout: Layout) -> bytes:
    """The file as UTF-8 where it can be; a wrong byte is left in place, for the reader of rows to name."""
    data = read_bytes(path)
    for magic, form in _FOREIGN.items():
        if data.startswith(magic):
            raise DataError(path, f"{form}, not text in UTF-8; convert or unpack it first")
    if layout.latin1:
        try:
            data.decode()
        except UnicodeDecodeError:
            data = data.decode("latin-1").encode()
    return data.removeprefix(b"\xef\xbb\xbf")


def _header(path: Path, data: bytes, layout: Layout) -> tuple[str, ...]:
    line = _text(_FIRST_LINE.findall(data, 0, _LONGEST_HEADER)[0])
    if _reason_against(line):
        raise DataError(path, _reason_against(line), 1)
    if not line.strip():
        raise DataError(path, "the first line is empty; it has to name the columns", 1)
    fields, _ = _split([line], 0, layout)
    if isinstance(fields, str):
        raise DataError(path, fields, 1)
    names = tuple(name.strip() for name in fields)
    refuse_repeated_names(path, names)
    return names


def _read_whole(data: bytes, names: tuple[str, ...], layout: Layout) -> dict[str, Column] | None:
    """Every column at once, or `None` if anything about the file is out of order."""
    if b"\0" in data or (layout.quoted and _dubious_quotes(data, layout.separator)):
        return None
    separator, quoted = layout.separator, layout.quoted and b'"' in data
    if len(separator) > 1:
        data, separator = data.replace(separator.encode(), _ARROW_SEPARATOR.encode()), _ARROW_SEPARATOR
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            arrow_csv.ReadOptions(column_names=names, skip_rows=int(layout.names is None), block_size=_BLOCK),
            arrow_csv.ParseOptions(delimiter=separator, quote_char='"' if quoted else False, newlines_in_values=quoted),
            arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid:
        return None
    columns = {name: table[name] for name in names}
    return None if quoted and any(map(_holds_newline, columns.values())) else columns


def _dubious_quotes(data: bytes, separator: str) -> bool:
    """Whether the quotes are anything but pairs around whole fields, with doubled ones for those inside a field."""
    edges = separator.encode() + b"\r\n"
    data = b"\n" + data + b"\n"
    if re.search(rb'"(?<=[%b]")"(?:"")*(?=[^"%b])' % (edges, edges), data):
        return True  # perhaps a field that ends in mid-word
    text = np.frombuffer(data.replace(b'""', b""), dtype=np.uint8)
    quotes = np.flatnonzero(text == ord('"'))
    beside = np.concatenate([text[quotes[0::2] - 1], text[quotes[1::2] + 1]])  # before an opening, behind a closing one
    return len(quotes) % 2 == 1 or not np.isin(beside, np.frombuffer(edges, dtype=np.uint8)).all()


def _holds_newline(column: Column) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, "[\r\n]")).as_py())


def _line_of(data: bytes, row: int, header: bool) -> int:
    """The line of a row in a file that Arrow has read: it skips nothing but empty lines."""
    full = (number for number, line in enumerate(_lines(data), 1) if line.strip("\r\n"))
    return next(islice(full, row + header, None))


def _read_rows(path: Path, data: bytes, names: tuple[str, ...], layout: Layout, lenient: bool) -> Table:
    """Row by row: the first broken one ends a strict reading, and is skipped by a lenient one."""
    rows: list[list[str]] = []
    lines: list[int] = []
    broken: list[tuple[int, str]] = []
    for line, fields in _records(data, len(names), layout):
        if isinstance(fields, str):
            if not lenient:
                raise DataError(path, fields, line)
            broken.append((line, fields))
        else:
            rows.append(fields)
            lines.append(line)
    columns = {name: pa.chunked_array([pa.array([row[at] for row in rows], pa.string())])
               for at, name in enumerate(names)}  # fmt: skip
    return Table(path, columns, lines.__getitem__, broken)


def _records(data: bytes, width: int, layout: Layout) -> Iterator[tuple[int, list[str] | str]]:
    """Every row with its line: its fields, or the reason why it is broken.

    A quote that swallows the lines behind it costs its own line only: reading resumes on the next one.
    """
    lines = _lines(data)
    at = int(layout.names is None)
    while at < len(lines):
        if not lines[at].strip("\r\n"):
            at += 1
            continue
        fields, used = _split(lines, at, layout)
        text = "".join(lines[at : at + used])
        if not isinstance(fields, str) and len(fields) != width:
            fields = _count_reason(len(fields), width, layout)
        fields = _reason_against(text) or fields
        yield at + 1, fields
        at += 1 if isinstance(fields, str) else used


def _split(lines: Sequence[str], at: int, layout: Layout) -> tuple[list[str] | str, int]:
    """The fields of the row that begins at line `at` (or why it has none), and how many lines it takes up."""
    line = lines[at].rstrip("\r\n")
    if not layout.quoted or '"' not in line:
        return line.split(layout.separator), 1
    onwards = (lines[number] for number in range(at, len(lines)))
    reader = csv.reader(onwards, delimiter=layout.separator, strict=True)
    try:
        return next(reader), reader.line_num
    except csv.Error as error:
        reason = "a quote is opened and never closed" if "end of data" in str(error) else str(error)
        return reason, 1


def _lines(data: bytes) -> list[str]:
    return list(io.StringIO(_text(data), newline=""))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _reason_against(text: str) -> str:
    """Why a line is not text, or nothing."""
    if "\0" in text:
        return "a NUL byte: not a text file, or not UTF-8"
    wrong = _BAD_BYTE.search(text)
    return f"byte 0x{ord(wrong[0]) - 0xDC00:02x} is not UTF-8; convert the file" if wrong else ""


def _count_reason(found: int, width: int, layout: Layout) -> str:
    fields = "1 field" if found == 1 else f"{found} fields"
    return f"{fields} separated by {layout.separator!r}, where {width} are expected"
