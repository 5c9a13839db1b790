"""Rows as files: CSV, JSON and XLSX. Pure, but for the temporary file that a workbook is made in.

A spreadsheet takes cells that begin with `=`, `+`, `-` or `@` for formulas: in CSV such texts get an apostrophe, in
XLSX every text is written as a text, so that none is needed.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

ROWS_AT_ONCE = 500
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes a CSV for the code page of its machine
CELL_CHARACTERS_MAX = 32_767
CHUNK_BYTES = 65_536
SHEET_NAME = "Joinlog"
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Rows = Iterable[Sequence[Any]]


def as_csv(columns: Sequence[str], rows: Rows, mark: str = "") -> Iterator[str]:
    """CSV by RFC 4180, without formulas; `mark` stands in front of it."""
    buffer = io.StringIO(newline="")
    buffer.write(mark)
    writer = csv.writer(buffer)
    writer.writerow(columns)
    source = iter(rows)
    while True:
        chunk = list(islice(source, ROWS_AT_ONCE))
        writer.writerows([[without_formula(plain(value)) for value in row] for row in chunk])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        if len(chunk) < ROWS_AT_ONCE:
            return


def as_json(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    """JSON: an array of objects, one per line."""
    source = iter(rows)
    mark = "[\n"
    while chunk := list(islice(source, ROWS_AT_ONCE)):
        texts = [
            json.dumps(dict(zip(columns, (plain(v) for v in row), strict=True)), ensure_ascii=False) for row in chunk
        ]
        yield mark + ",\n".join(texts)
        mark = ",\n"
    yield "\n]\n" if mark != "[\n" else "[]\n"


def as_xlsx(columns: Sequence[str], rows: Rows) -> Iterator[bytes]:
    """A workbook with one sheet: moments are dates in UTC, numbers numbers, texts never formulas."""
    import xlsxwriter  # here, for it takes a moment to load and few ask for it

    with tempfile.TemporaryFile() as file:
        options = {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
        book = xlsxwriter.Workbook(file, options)
        sheet = book.add_worksheet(SHEET_NAME)
        bold = book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(columns) - 1, 20)
        for place, name in enumerate(columns):
            sheet.write_string(0, place, name, bold)
        for number, row in enumerate(rows, 1):
            for place, value in enumerate(row):
                if isinstance(value, bool):
                    sheet.write_boolean(number, place, value)
                elif isinstance(value, datetime):
                    sheet.write_datetime(number, place, value.astimezone(UTC).replace(tzinfo=None))
                elif isinstance(value, (int, float)):
                    sheet.write_number(number, place, value)
                elif value is not None:
                    sheet.write_string(number, place, _cell_text(str(value)))
        book.close()
        file.seek(0)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def plain(value: Any) -> Any:
    """A value as texts hold it: moments in ISO 8601 UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def without_formula(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _cell_text(text: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)[:CELL_CHARACTERS_MAX]
