"""Delimited text files and sheets, read with errors a person can act on, and marks as schools write them."""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit.schema import DataError

BLANKS = " \t\r\n\u00a0\u2007\u202f\ufeff"
"""What is stripped from both ends of every cell of a school's file."""
SEPARATORS = ("\t", ";", ",", "|")
SHEETS = (".xlsx", ".xlsm")
SHEET_BYTES, SHEET_CELLS = 500_000_000, 20_000_000  # unpacked bytes and cells of a sheet; more belongs in a csv file
RIGHT = ("1", "true", "t", "yes", "y", "right", "correct", "wahr", "richtig", "ja", "vrai", "juste", "oui", "verdadero", "correcto", "sí", "si")
WRONG = ("0", "false", "f", "no", "n", "wrong", "incorrect", "falsch", "nein", "faux", "non", "falso", "incorrecto")
SPOILT = r"#(?:N/A|NV|REF!|BEZUG!|VALUE!|WERT!|NAME\?|NULL!|DIV/0!|NUM!|ZAHL!)|\d(?:[.,]\d+)?E\+\d+"
"""What a spreadsheet leaves of an id that it could not look up, or took for a long number (``1.23E+11``): different ids became one."""

Say = Callable[[str], None]
"""Told one sentence for each decision a reader takes (what it left out, what it assumed)."""


def quiet(line: str) -> None:
    """Tell nobody."""


def need(path: Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise DataError, naming every absent column and all that were found, unless the table has all of ``columns``."""
    if absent := [c for c in columns if c not in table]:
        raise DataError(f"{path} must have the columns {', '.join(absent)}; found {', '.join(map(str, table.columns))}. "
                        "Is it the file that the card names?")


def read_text_table(path: Path, encodings: tuple[str, ...] = ("utf-8-sig",), **options: Any) -> pd.DataFrame:
    """Read a delimited text file with pandas; every failure becomes one clear error.

    Parameters
    ----------
    path : the file.
    encodings : tried in this order.
    **options : handed to :func:`pandas.read_csv`.

    Raises
    ------
    DataError
        For an empty file, a wrong encoding, or rows that do not fit the header (the first offending line is named).
    """
    if path.stat().st_size == 0:
        raise DataError(f"{path} must hold rows; found an empty file (0 bytes). Obtain it again, or check that it was saved.")
    trouble: UnicodeError | None = None
    for encoding in encodings:
        try:
            return pd.read_csv(path, encoding=encoding, **options)
        except UnicodeError as error:
            trouble = error
        except pd.errors.EmptyDataError:
            raise DataError(f"{path} must hold rows; found none. Obtain it again.") from None
        except (pd.errors.ParserError, ValueError) as error:
            raise DataError(f"{path} must be a well-formed table; found {str(error).strip().removeprefix('Error tokenizing data. ')}. "
                            "The file may be truncated or saved with another separator: obtain it again.") from None
    byte = trouble.object[trouble.start] if isinstance(trouble, UnicodeDecodeError) else 0
    at = trouble.start if isinstance(trouble, UnicodeDecodeError) else 0
    raise DataError(f"{path} must be encoded as {' or '.join(encodings)}; found byte 0x{byte:02x} at position {at:,}. "
                    "Save the file as UTF-8 and try again.")


def read_text(path: Path) -> str:
    """The text of a file whose encoding is not stated: UTF-8 or UTF-16 (by its mark), else Windows-1252, else Latin-1.

    Raises
    ------
    DataError
        For an empty file, or one that is not text (it holds a zero byte).
    """
    raw = path.read_bytes()
    if not raw.strip():
        raise DataError(f"{path} must hold rows; found an empty file ({len(raw)} bytes). Check that it was saved.")
    encodings = ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252", "latin-1")
    text = None
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
            break
        except UnicodeError:
            continue
    if text is None or "\0" in text:
        at = raw.find(b"\0")
        raise DataError(f"{path} must be a text file or a sheet (.xlsx); found a zero byte at position {max(at, 0):,}. "
                        "Export it as csv (UTF-8) and try again.")
    if not text.strip(BLANKS):
        raise DataError(f"{path} must hold rows; found an empty file ({len(raw)} bytes). Check that it was saved.")
    return text


def separator_of(text: str) -> str:
    """The separator that cuts the first lines into the most equal rows; a comma where none does."""
    head = text[:20_000]
    best, found = (0.0, 0), ","
    for candidate in SEPARATORS:
        try:
            rows = [row for row in csv.reader(io.StringIO(head, newline=""), delimiter=candidate) if row]
        except csv.Error:
            continue
        rows = rows[:-1] if len(head) < len(text) and len(rows) > 1 else rows
        width = len(rows[0]) if rows else 0
        if width > 1:
            score = (sum(len(row) == width for row in rows) / len(rows), width)
            best, found = (score, candidate) if score > best else (best, found)
    return found


def read_strings(path: Path, header: bool = True, separator: str | None = None) -> pd.DataFrame:
    """Every cell of a school's text file as it was written, blanks at both ends stripped; only an empty cell is missing.

    ``NA`` and ``null`` stay text, ``007`` keeps its zeros, and a number of any length keeps its digits.

    Parameters
    ----------
    header : whether the first row names the columns; else they are numbered.
    separator : guessed where it is not given.

    Raises
    ------
    DataError
        For an empty file, one that is not text, an open quotation mark, or a row longer than the header.
    """
    text = read_text(path)
    told = re.match(r"\ufeff?sep=(.)\r?\n", text)  # a line that Excel writes and reads
    text = text[told.end():] if told else text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(io.StringIO(text), sep=separator or (told[1] if told else separator_of(text)), header=None, dtype="str",
                                keep_default_na=False, na_values=[""], skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, ValueError) as error:
        raise DataError(f"{path} must be a table with as many cells in every row as in the first; found "
                        f"{str(error).strip().removeprefix('Error tokenizing data. ').removeprefix('C error: ')}. "
                        "Is there a title above the names of the columns (then delete it), a quotation mark left open, or is the file cut short?") from None
    return _named(path, _stripped(table), header)


def _stripped(table: pd.DataFrame) -> pd.DataFrame:
    table = table.apply(lambda column: column.astype("str").str.strip(BLANKS))
    return table.mask(table == "").dropna(how="all").reset_index(drop=True)


def _named(path: Path, table: pd.DataFrame, header: bool) -> pd.DataFrame:
    """The table with its first row as header; a repeated name gets a number behind it, and an empty one its position."""
    if len(table) < 1 + header:
        raise DataError(f"{path} must hold rows{' below its header' * header}; found none. Check that the right file, or sheet, was saved.")
    if not header:
        return table.set_axis([str(i) for i in range(table.shape[1])], axis=1)
    seen: Counter[str] = Counter()
    names = []
    for position, name in enumerate(table.iloc[0], 1):
        name = f"(column {position})" if pd.isna(name) else name
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return table.iloc[1:].reset_index(drop=True).set_axis(names, axis=1)


def read_sheet(path: Path, sheet: str | None = None) -> pd.DataFrame:
    """The cells of a sheet of a workbook as text, read only: values, never formulas, the first row as header.

    Raises
    ------
    DataError
        For a file that is no workbook or too large, a sheet that is not in it, or a header with merged or empty cells.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > SHEET_BYTES:
            raise DataError(f"{path} must unpack to at most {SHEET_BYTES:,} bytes; found {size:,}. Save it as csv and try again.")
        import openpyxl

        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        if sheet is not None and sheet not in book.sheetnames:
            raise DataError(f"{path} must have a sheet called {sheet}; found {', '.join(book.sheetnames)}. Give data.sheet=NAME.")
        page = book[sheet] if sheet is not None else book.worksheets[0]
        rows, cells = [], 0
        for row in page.iter_rows(values_only=True):
            cells += len(row)
            if cells > SHEET_CELLS:
                raise DataError(f"{path} must hold at most {SHEET_CELLS:,} cells; found more. Save it as csv and try again.")
            rows.append([_written(value) for value in row])
        book.close()
    except DataError:
        raise
    except Exception as error:  # a damaged workbook fails in many ways; all of them mean it cannot be read
        raise DataError(f"{path} must be an Excel workbook (.xlsx); found {type(error).__name__}: {error}. Save it again, or as csv.") from None
    if not rows:
        raise DataError(f"{path} must hold rows; found an empty sheet. Give data.sheet=NAME for another one.")
    width = max(map(len, rows))
    table = _stripped(pd.DataFrame([row + [None] * (width - len(row)) for row in rows], dtype="str"))
    table = table.dropna(axis=1, how="all")
    empty = [str(i + 1) for i, name in enumerate(table.iloc[0] if len(table) else []) if pd.isna(name)]
    if empty:
        raise DataError(f"{path} must name every column in its first row; found no name for column {', '.join(empty)}: are cells of the header "
                        "merged, or is there a title above it? Unmerge them, and begin the sheet with the names of the columns.")
    return _named(path, table, True)


def _written(value: Any) -> str | None:
    """A cell as a person would write it: whole numbers without a point, times in ISO form."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value.isoformat() if isinstance(value, date | time) else str(value)


def sheets(path: Path) -> list[str]:
    """Names of the sheets of a workbook; none for any other file, or one that cannot be read."""
    if path.suffix.lower() not in SHEETS:
        return []
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True)
    except Exception:  # what is wrong with it is told when it is read
        return []
    names = [page.title for page in book.worksheets]
    book.close()
    return names


def read_table(path: Path, sheet: str | None = None, header: bool = True) -> pd.DataFrame:
    """A text file or a sheet, by its ending; every cell as text. The last one read is kept until another is, or until :func:`forget`."""
    state = path.stat()
    return _read_once(path, sheet, header, state.st_mtime_ns, state.st_size).copy(deep=False)


@lru_cache(maxsize=1)
def _read_once(path: Path, sheet: str | None, header: bool, changed: int, size: int) -> pd.DataFrame:
    return read_sheet(path, sheet) if path.suffix.lower() in SHEETS else read_strings(path, header)


def forget() -> None:
    """Let go of the table that was read last."""
    _read_once.cache_clear()


def matches(values: pd.Series, pattern: str) -> pd.Series:
    """Whether each value is of a pattern as a whole; a missing one is not. Each distinct value is looked at once."""
    once = pd.Series(values.dropna().unique(), dtype="str")
    return values.isin(once[once.str.fullmatch(pattern)])


def read_marks(values: pd.Series, full: pd.Series | None = None) -> tuple[pd.Series, pd.Series]:
    """Marks as a share of the full marks, and which of those that are there could not be read.

    Understood are 0 and 1, yes/no, true/false, right/wrong and correct/incorrect in any case (and their German, French and Spanish words), a
    share (``0.5``, ``0,5``), per cent (``50 %``), and, with ``full``, points out of the full points.

    Examples
    --------
    >>> read_marks(pd.Series(["yes", "0,5", "80 %", "x"], dtype="str"))[0].tolist()
    [1.0, 0.5, 0.8, nan]
    """
    pairs = pd.DataFrame({"mark": values.astype("str"), "full": pd.Series(pd.NA, index=values.index, dtype="str") if full is None else full.astype("str")})
    which = pairs.groupby(["mark", "full"], dropna=False, sort=False).ngroup().to_numpy()  # a million marks are a handful of different ones
    once = pairs[~pd.Series(which).duplicated().to_numpy()]
    share = pd.Series(_shares(once["mark"], None if full is None else once["full"]).to_numpy()[which], index=values.index)
    there = values.notna()
    return share.where(there), there & ~(share.between(0, 1))


def _shares(marks: pd.Series, full: pd.Series | None) -> pd.Series:
    text = marks.str.strip(BLANKS).str.lower()
    percent = text.str.endswith("%").fillna(False).astype(bool)
    share = numbers(text.str.rstrip("%" + BLANKS)).where(~percent, lambda s: s / 100)
    words = text.map({**dict.fromkeys(RIGHT, 1.0), **dict.fromkeys(WRONG, 0.0)}).astype("float64")
    if full is not None:
        most = numbers(full.str.strip(BLANKS))
        share = share.where(percent, share / most.where(most > 0))
        words = words.mask(text.isin(("0", "1")))  # points, not yes or no
    return words.fillna(share)


def numbers(text: pd.Series) -> pd.Series:
    """Numbers with a decimal point or a decimal comma; NaN where it is neither."""
    found = pd.to_numeric(text.str.replace(r"^([+-]?\d*),(\d+)$", r"\1.\2", regex=True), errors="coerce").astype("float64")
    return found.where(np.isfinite(found))


def fault(place: str, wanted: str, values: pd.Series, bad: pd.Series) -> str:
    """One sentence on the values that cannot be used: how many, and the first with its row (rows below the header, blank ones not counted)."""
    at = np.flatnonzero(bad.to_numpy(bool))
    found = values.iloc[at[0]]
    return (f"{place} must {wanted}; found {'nothing' if pd.isna(found) else repr(str(found))} in {len(at):,} of {len(values):,} rows "
            f"(first: row {at[0] + 1:,}).")
