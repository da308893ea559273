"""A new pseudonym key: from then on the same learners leave under other names, and only who holds both keys can tell which are the same.

A key is changed when it may have been seen, or so that releases of different years cannot be joined. Old keys stay beside the new one until
somebody removes them: without the old key, old outputs can no longer be matched to a learner, not even to delete them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from edukit.governance.privacy import Pseudonymiser, load_key
from edukit.reproducibility import replacing
from edukit.schema import DataError


def rotate(path: Path) -> tuple[Pseudonymiser, Pseudonymiser]:
    """Retire the key at ``path`` to ``path.<its version>`` and put a new one in its place.

    Returns
    -------
    Pseudonymiser, Pseudonymiser
        The old one and the new one.

    Raises
    ------
    DataError
        Where there is no key yet, or none that can be read; nothing is changed then.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} must hold the key to retire; found no file. A first key is made when data is first loaded.")
    old = Pseudonymiser(load_key(path))
    kept = path.with_name(f"{path.name}.{old.key_version}")
    if not kept.exists():
        os.link(path, kept)  # the old key has two names for a moment, and never none
    with replacing(path) as fresh:
        new = Pseudonymiser(load_key(fresh))
    return old, new


def retired(path: Path) -> list[Pseudonymiser]:
    """The old keys that are kept beside ``path``, so that what they named can still be found."""
    path = Path(path)
    return [Pseudonymiser(load_key(file)) for file in sorted(path.parent.glob(f"{path.name}.*"))]


def translation(ids: pd.Series, kind: str, old: Pseudonymiser, new: Pseudonymiser) -> pd.DataFrame:
    """Which old pseudonym is which new one, for the holder of both keys and of the ids.

    Parameters
    ----------
    ids : Series of id
        As they stand in the raw file; each is translated once.
    kind : str
        ``learner``, ``class`` or ``teacher``.

    Returns
    -------
    DataFrame
        ``old, new``: keep it as safe as a key, or not at all.

    Examples
    --------
    >>> table = translation(pd.Series(["ann", "bob", "ann"]), "learner", Pseudonymiser(bytes(32)), Pseudonymiser(bytes(31) + b"1"))
    >>> len(table), bool((table["old"] == table["new"]).any())
    (2, False)
    """
    known = ids.dropna().drop_duplicates().reset_index(drop=True)
    return pd.DataFrame({"old": old.pseudonyms(known, kind), "new": new.pseudonyms(known, kind)})


def renamed(table: pd.DataFrame, names: pd.DataFrame, column: str = "learner_id") -> pd.DataFrame:
    """An old table under the new pseudonyms.

    Raises
    ------
    DataError
        Where the translation lacks a pseudonym of the table: half a table under new names could be joined to nothing.
    """
    found = table[column].map(names.set_index("old")["new"])
    lost = found.isna() & table[column].notna()
    if lost.any():
        raise DataError(f"{column} must be translated in every row; found no new name for {table.loc[lost, column].iloc[0]} ({int(lost.sum()):,} rows). "
                        "Was the translation made from all ids, and with the key of that time?")
    return table.assign(**{column: found.astype("str")})
