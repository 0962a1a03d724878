"""Tables that people send and fetch: CSV and XLSX read as a stream, what was refused kept whole, exports made safe.

Reading never holds the file in memory, whatever its size: rows come one by one with the number that a spreadsheet
shows beside them (the header is row 1). All values are text, as they stand in the file; meaning is the reader's
business. A file from outside is not trusted: encodings are recognised, NUL bytes dropped, and what unpacks to more
than `MAX_UNPACKED`, or holds XML entities, is refused.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import math
import os
import re
import tempfile
import zipfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import xlsxwriter  # type: ignore[import-untyped]
from defusedxml.common import DefusedXmlException
from openpyxl.cell.text import Text
from openpyxl.reader.excel import ExcelReader
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS
from openpyxl.xml.functions import iterparse

from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence

MAX_UNPACKED = 4 << 30
"""Bytes to which a packed file may unpack. A spreadsheet of a million rows of messages takes about a quarter."""
MAX_LINE = 1 << 20
"""Characters in one line of a CSV file; more is not a table."""
XLSX_ROWS = 1_048_576
XLSX_CELL = 32_767
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "｜", "|")
"""What a spreadsheet may take for a formula or a command at the beginning of a cell, full-width forms included."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table. `broken` says why it could not be read as a row; then `raw` holds its text as it was."""

    number: int
    cells: dict[str, str]
    broken: Mistake | None = None
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """An open table: its columns in order, how it was recognised (``csv utf-8 ','``), and its rows, once."""

    columns: tuple[str, ...]
    form: str
    rows: Iterator[Row]


@contextmanager
def open_table(path: Path | str, *, sheet: str = "") -> Iterator[Table]:
    """Open a CSV (also ``.gz``) or XLSX file for one pass. `sheet` names the sheet; the first one otherwise.

    Raises `Mistakes` if the file is not a table that can be read.
    """
    path = Path(path)
    with ExitStack() as stack:
        with _damage_told(path):
            if not path.is_file():
                raise _refused(
                    path,
                    Sentence(zh="没有这个文件", en="there is no such file"),
                    Sentence(zh="写出一个 CSV 或 XLSX 文件的路径", en="name a CSV or XLSX file"),
                )
            with path.open("rb") as file:
                magic = file.read(4)
            if magic == b"PK\x03\x04":
                table = _open_xlsx(path, sheet, stack)
            else:
                _refuse_foreign(path, magic)
                table = _open_csv(path, stack)
        yield table


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """What the libraries say of a damaged or hostile file, as our one sentence."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, DefusedXmlException, SyntaxError) as error:
        raise _refused(
            path,
            Sentence(zh="文件损坏或不是表格", en="the file is damaged or not a table"),
            Sentence(zh="重新导出后再试", en="export it again and retry"),
        ) from error


def _refused(path: Path, wrong: Sentence, instead: Sentence) -> Mistakes:
    return Mistakes([Mistake(path.name, wrong, instead)])


def _refuse_foreign(path: Path, magic: bytes) -> None:
    if magic.startswith(b"\xd0\xcf\x11\xe0"):
        raise _refused(
            path,
            Sentence(zh="这是旧版 Excel（.xls）或加密的工作簿", en="this is an old (.xls) or an encrypted workbook"),
            Sentence(zh="另存为未加密的 .xlsx 或 CSV", en="save it as .xlsx without a password, or as CSV"),
        )
    if magic.startswith((b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"Rar!", b"7z\xbc\xaf")):
        raise _refused(
            path,
            Sentence(zh="这不是表格文件", en="this is not a table"),
            Sentence(zh="使用 CSV 或 XLSX 文件", en="use a CSV or XLSX file"),
        )


# --- CSV -------------------------------------------------------------------------------------------------------------


class _Counted(io.RawIOBase):
    """A packed stream that refuses to unpack without end."""

    def __init__(self, inner: IO[bytes], path: Path) -> None:
        self.inner, self.path, self.taken = inner, path, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.inner.read(len(buffer))
        self.taken += len(data)
        if self.taken > MAX_UNPACKED:
            raise _too_big(self.path)
        buffer[: len(data)] = data
        return len(data)


def _too_big(path: Path) -> Mistakes:
    return _refused(
        path,
        Sentence(zh=f"解压后超过 {MAX_UNPACKED >> 20} MB", en=f"it unpacks to more than {MAX_UNPACKED >> 20} MB"),
        Sentence(zh="分成几个文件导入", en="import it in several files"),
    )


def _bytes_of(path: Path, stack: ExitStack) -> IO[bytes]:
    file = stack.enter_context(path.open("rb"))
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not packed:
        return file
    return cast(IO[bytes], io.BufferedReader(_Counted(cast(IO[bytes], gzip.GzipFile(fileobj=file)), path), 1 << 16))


def encoding_of(path: Path) -> str:
    """The encoding of a text file: by its mark, by the pattern of its zero bytes, else the first of UTF-8 and GB 18030
    (which contains GBK and GB 2312) in which the whole file is text, else the one that gets further.
    """
    with ExitStack() as stack:
        file = _bytes_of(path, stack)
        start = file.read(4096)
        if start.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        even, odd = start[::2].count(0), start[1::2].count(0)
        if max(even, odd) > len(start) // 8 and min(even, odd) * 8 < max(even, odd):
            return "utf-16-le" if odd > even else "utf-16-be"
    reach = {name: _readable_bytes(path, name) for name in ("utf-8", "gb18030")}
    return max(reach, key=lambda name: reach[name])


def _readable_bytes(path: Path, encoding: str) -> float:
    """How far into the file the encoding holds, in bytes; infinite if to the end."""
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    with ExitStack() as stack:
        file = _bytes_of(path, stack)
        while chunk := file.read(1 << 20):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                return done + error.start
            done += len(chunk)
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return done
    return math.inf


def _lines(text: IO[str], path: Path) -> Iterator[str]:
    """The lines of a text, without NUL."""
    while line := text.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise _refused(
                path,
                Sentence(zh=f"有一行超过 {MAX_LINE} 个字符", en=f"a line has more than {MAX_LINE} characters"),
                Sentence(zh="这不像表格：检查导出设置", en="this is not a table: look at how it was exported"),
            )
        yield line.replace("\0", "") if "\0" in line else line


def _delimiter_of(sample: Sequence[str]) -> str:
    """The delimiter that cuts the first records into the most columns, most evenly."""
    best, score = ",", 0.0
    for candidate in (",", "\t", ";", "|", "，"):
        records = [cells for _, cells, _ in islice(_records(iter(sample), candidate), 50) if cells]
        if not records or len(records[0]) < 2:
            continue
        width = len(records[0])
        even = sum(len(r) == width for r in records) / len(records)
        if even * math.log(1 + width) > score:
            best, score = candidate, even * math.log(1 + width)
    return best


def _open_csv(path: Path, stack: ExitStack) -> Table:
    encoding = encoding_of(path)
    text = io.TextIOWrapper(_bytes_of(path, stack), encoding=encoding, errors="surrogateescape", newline="")
    if encoding.startswith("utf-16"):
        text.reconfigure(errors="replace")
    delimiter = _delimiter_of(list(islice(_lines(text, path), 60)))
    fresh = io.TextIOWrapper(_bytes_of(path, stack), encoding=encoding, errors=str(text.errors), newline="")
    records = _records(_lines(fresh, path), delimiter)
    return _table(path, records, f"csv {encoding} {delimiter!r}")


_Record = tuple[int, list[str], str]
"""Row number, cells, and the raw text if it could not be cut into cells."""


def _records(lines: Iterator[str], delimiter: str) -> Iterator[_Record]:
    record: list[str] = []
    """The lines of the record being read, so that a broken one can be kept."""

    def remembered() -> Iterator[str]:
        for line in lines:
            record.append(line)
            yield line

    reader = csv.reader(remembered(), delimiter=delimiter)
    number = 0
    while True:
        number += 1
        record.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield number, [], "".join(record)
            continue
        yield number, [unquoted(c) for c in cells], ""


# --- XLSX ------------------------------------------------------------------------------------------------------------


class _TextsOnDisk:
    """The shared texts of a workbook in a temporary file: a million different messages do not fit the memory."""

    def __init__(self, stack: ExitStack) -> None:
        self.file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self.ends = array("Q", [0])

    def append(self, text: str) -> None:
        self.file.write(data := text.encode("utf-8", "surrogatepass"))
        self.ends.append(self.ends[-1] + len(data))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: int) -> str:
        start, end = self.ends[index], self.ends[index + 1]
        self.file.seek(start)
        return self.file.read(end - start).decode("utf-8", "surrogatepass")


class _Workbook(ExcelReader):
    """The library's reader, with the shared texts kept on disk."""

    stack: ExitStack

    def read_strings(self) -> None:
        texts = _TextsOnDisk(self.stack)
        self.shared_strings = cast(list[str], texts)  # the library only looks texts up by number
        part = cast(Any, self.package).find(SHARED_STRINGS)
        if part is None:
            return
        with self.archive.open(part.PartName[1:]) as source:
            root = None
            for event, node in iterparse(source, events=("start", "end")):
                if root is None:
                    root = node
                if event == "end" and node.tag == f"{{{SHEET_MAIN_NS}}}si":
                    texts.append(cast(Any, Text).from_tree(node).content)
                    root.clear()


def _open_xlsx(path: Path, sheet: str, stack: ExitStack) -> Table:
    with zipfile.ZipFile(path) as archive:
        # Python never unpacks more of a member than the directory states, so the stated sizes can be trusted.
        if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED or len(archive.infolist()) > 10_000:
            raise _too_big(path)
        if "[Content_Types].xml" not in archive.namelist():
            raise _refused(
                path,
                Sentence(zh="这是压缩包，不是工作簿", en="this is a zip archive, not a workbook"),
                Sentence(zh="解压后导入其中的表格", en="unpack it and import the table in it"),
            )
    try:
        reader = _Workbook(path, read_only=True, data_only=True, keep_links=False)
        stack.callback(reader.archive.close)
        reader.stack = stack
        reader.read()
    except (ValueError, TypeError) as error:
        raise KeyError("not a readable workbook") from error
    names = [w.title for w in reader.wb.worksheets]
    if not names or (sheet and sheet not in names):
        raise _refused(
            path,
            Sentence(zh=f"没有工作表“{sheet}”", en=f"there is no sheet “{sheet}”"),
            Sentence(zh=f"可选：{'、'.join(names)}", en=f"it has: {', '.join(names)}"),
        )
    worksheet = reader.wb[sheet or names[0]]
    worksheet.reset_dimensions()  # the stated size may be wrong, or a trap
    return _table(path, _sheet_records(path, worksheet), f"xlsx {worksheet.title!r}")


def _sheet_records(path: Path, worksheet: Any) -> Iterator[_Record]:
    for number, values in enumerate(worksheet.iter_rows(values_only=True), 1):
        if number > XLSX_ROWS:
            raise _too_big(path)
        yield number, [_text_of(v) for v in values], ""


_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")


def _text_of(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            # The library leaves the escapes of cells that hold their own text; a real "_x000D_" is escaped itself.
            return (_ESCAPE.sub(lambda m: chr(int(m[1], 16)), value) if "_x" in value else value).replace("\0", "")
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime() | date() | time():
            return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
        case _:
            return str(value)


# --- both ------------------------------------------------------------------------------------------------------------


def _table(path: Path, records: Iterator[_Record], form: str) -> Table:
    for _number, cells, _raw in records:
        if any(c.strip() for c in cells):
            columns = _names(cells)
            return Table(columns, form, _rows(path, columns, records))
    raise _refused(
        path,
        Sentence(zh="文件里没有表头", en="the file has no header"),
        Sentence(zh="第一行写列名", en="write the names of the columns into the first row"),
    )


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    """The header's names, each different: an empty one is called by its place, a repeated one is numbered."""
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    names: list[str] = []
    for place, cell in enumerate(cells, 1):
        name = " ".join(cell.split()) or f"#{place}"
        count = 2
        unique = name
        while unique in names:
            unique, count = f"{name} ({count})", count + 1
        names.append(unique)
    return tuple(names)


def _rows(path: Path, columns: tuple[str, ...], records: Iterator[_Record]) -> Iterator[Row]:
    with _damage_told(path):
        for number, cells, raw in records:
            if any(cells) or raw:
                yield _row(columns, number, cells, raw)


def _row(columns: tuple[str, ...], number: int, cells: list[str], raw: str) -> Row:
    width = len(columns)
    broken = None
    if raw:
        broken = Mistake(
            f"{number}",
            Sentence(zh="引号没有配对，无法分成单元格", en="a quotation mark is not closed: no cells can be told"),
            Sentence(zh="补上或去掉引号", en="close or remove the quotation mark"),
        )
    elif len(cells) > width and any(c.strip() for c in cells[width:]):
        broken = Mistake(
            f"{number}",
            Sentence(zh=f"有 {len(cells)} 个单元格，但只有 {width} 列", en=f"{len(cells)} cells under {width} columns"),
            Sentence(zh="给含分隔符的单元格加引号", en="put a cell that holds the delimiter between quotation marks"),
        )
        raw = "\t".join(cells)
    elif any("\udc80" <= c <= "\udcff" for cell in cells if not cell.isprintable() for c in cell):
        broken = Mistake(
            f"{number}",
            Sentence(zh="含有无法识别的字节", en="it holds bytes that are no text in the file's encoding"),
            Sentence(zh="以 UTF-8 重新导出", en="export the file as UTF-8"),
        )
    cells += [""] * (width - len(cells))
    return Row(number, dict(zip(columns, cells, strict=False)), broken, raw)


# --- writing ---------------------------------------------------------------------------------------------------------


def quoted(text: str) -> str:
    """The text as it may stand in a CSV cell: what a spreadsheet could run gets an apostrophe. `unquoted` undoes it."""
    return f"'{text}" if _dangerous(text.lstrip("'")) else text


def unquoted(text: str) -> str:
    """What `quoted` was given."""
    return text[1:] if text.startswith("'") and _dangerous(text.lstrip("'")) else text


def _dangerous(text: str) -> bool:
    return text.startswith(DANGEROUS) or text.lstrip(" \u3000\xa0").startswith(DANGEROUS)


def value_class(text: str) -> str:
    """What kind of value this is, without telling the value: for lists of mistakes, which may be shown to anybody."""
    text = text.strip()
    if not text:
        return "empty"
    if text.lstrip("+-").replace(".", "", 1).isdecimal():
        return f"number, {len(text)} characters"
    kind = "date-like" if sum(c.isdigit() for c in text) >= 4 and any(c in text for c in "-/.:年T") else "text"
    return f"{kind}, {len(text)} characters"


REJECT_COLUMNS = (
    "gridloop_row",
    "gridloop_column",
    "gridloop_value",
    "gridloop_wrong_zh",
    "gridloop_wrong_en",
    "gridloop_instead_zh",
    "gridloop_instead_en",
    "gridloop_raw",
)


class Rejects:
    """The rows of a table that were not taken, whole, with what is wrong: to be put right and imported again as it is.

    Each rejected row is one line: its own columns, then those of `REJECT_COLUMNS`. The file may hold personal data:
    only its owner can read it. It is made when the first row is rejected.
    """

    def __init__(self, path: Path | str, columns: Sequence[str]) -> None:
        self.path = Path(path)
        self.columns = [c for c in columns if c not in REJECT_COLUMNS]
        self.count = 0
        self._file: IO[str] | None = None

    def add(self, row: Row, mistakes: Sequence[tuple[str, Mistake]]) -> None:
        """Keep a row with its mistakes, each with the column in which it is ("" for the whole row)."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(handle, "w", encoding="utf-8-sig", errors="surrogateescape", newline="")
            self._writer = csv.writer(self._file, quoting=csv.QUOTE_ALL)
            self._writer.writerow([*self.columns, *REJECT_COLUMNS])
        found = [m for _, m in mistakes]
        self._writer.writerow(
            [
                *(quoted(row.cells.get(c, "")) for c in self.columns),
                str(row.number),
                "; ".join(c for c, _ in mistakes),
                "; ".join(value_class(row.cells.get(c, "")) if c else "row" for c, _ in mistakes),
                "; ".join(m.wrong.zh for m in found),
                "; ".join(m.wrong.en for m in found),
                "; ".join(m.instead.zh for m in found),
                "; ".join(m.instead.en for m in found),
                quoted(row.raw),
            ]
        )
        self.count += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Rejects:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_table(path: Path | str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write a table as ``.csv``, ``.csv.gz`` or ``.xlsx``, by the name's ending; returns the number of rows.

    Texts stay texts: nothing in them is taken for a formula, and `open_table` reads back what was written. Numbers
    stay numbers; dates and times are written in ISO form. The file appears whole or not at all.
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith((".csv", ".csv.gz", ".xlsx")):
        raise _refused(
            path,
            Sentence(zh="不支持这种文件类型", en="this type of file is not known"),
            Sentence(zh="文件名以 .csv、.csv.gz 或 .xlsx 结尾", en="end the name with .csv, .csv.gz or .xlsx"),
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            if name.endswith(".xlsx"):
                count = _write_xlsx(path, file, columns, rows)
            elif name.endswith(".gz"):
                with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
                    count = _write_csv(cast(IO[bytes], packed), columns, rows)
            else:
                count = _write_csv(file, columns, rows)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return count


def _plain(value: object) -> str | int | float | Decimal | bool:
    match value:
        case None:
            return ""
        case float() if not math.isfinite(value):
            return str(value)
        case str() | int() | float() | Decimal():
            return value
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)


def csv_pieces(columns: Sequence[str], rows: Iterable[Sequence[object]], *, size: int = 1 << 16) -> Iterator[bytes]:
    """A table as CSV in pieces of about `size` bytes, safe as `write_table` writes it: to be sent while it is made."""
    # The mark makes spreadsheets read Chinese as UTF-8; quoting all cells keeps them whole under any list separator.
    room = io.BytesIO()
    text = io.TextIOWrapper(room, encoding="utf-8-sig", errors="replace", newline="", write_through=True)
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow([quoted(c) for c in columns])
    for row in rows:
        cells = (_plain(v) for v in row)
        writer.writerow([quoted(c.replace("\0", "")) if isinstance(c, str) else c for c in cells])
        if room.tell() >= size:
            yield room.getvalue()
            room.seek(0)
            room.truncate()
    yield room.getvalue()


def _write_csv(file: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    count = 0

    def counted() -> Iterator[Sequence[object]]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    for piece in csv_pieces(columns, counted()):
        file.write(piece)
    return count


def _write_xlsx(path: Path, file: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    with ExitStack() as stack:
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        workbook = xlsxwriter.Workbook(file, options)
        stack.callback(workbook.close)
        sheet = workbook.add_worksheet()
        bold = workbook.add_format({"bold": True})
        literal = workbook.add_format({"quote_prefix": True})
        sheet.freeze_panes(1, 0)
        for place, name in enumerate(columns):
            sheet.write_string(0, place, name, bold)
        count = 0
        for count, row in enumerate(rows, 1):
            if count >= XLSX_ROWS:
                raise _refused(
                    path,
                    Sentence(zh=f"超过 XLSX 的 {XLSX_ROWS} 行", en=f"an XLSX sheet ends at row {XLSX_ROWS}"),
                    Sentence(zh="导出为 .csv", en="export to .csv"),
                )
            for place, value in enumerate(map(_plain, row)):
                if not isinstance(value, str):
                    sheet.write(count, place, value)
                elif len(value) > XLSX_CELL:
                    raise _refused(
                        path,
                        Sentence(
                            zh=f"第 {count + 1} 行有单元格超过 {XLSX_CELL} 个字符",
                            en=f"row {count + 1} has a cell of more than {XLSX_CELL} characters",
                        ),
                        Sentence(zh="导出为 .csv", en="export to .csv"),
                    )
                elif value:
                    sheet.write_string(count, place, _xml_text(value), literal if _dangerous(value) else None)
        return count


_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _xml_text(value: str) -> str:
    """Without what XML cannot hold."""
    return value if value.isprintable() else _NOT_XML.sub("", value)
