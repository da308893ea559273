"""Delimited text files, read with errors a person can act on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.schema import DataError


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
