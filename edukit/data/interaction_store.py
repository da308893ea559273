"""One log larger than memory: parquet parts of whole learners, read in batches, by query, or some learners at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from edukit.data.streaming import LEARNERS, META, connect, quoted, write
from edukit.governance.privacy import Pseudonymiser
from edukit.schema import TABLES, DataError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class InteractionStore:
    """A table ``interactions`` or ``events`` on disk; satisfies :class:`edukit.protocols.LearnerBatches`.

    Attributes
    ----------
    place : folder with the parts and what is known of them.
    table : name of the table in :mod:`edukit.schema`.
    columns : names of its columns, as declared there.
    rows, learners : how many there are.
    filled : columns without a missing value.
    bytes_in_memory : what the table would take as a DataFrame, about.
    fingerprint : of the parts' content, taken when they were written.
    kept : whatever must live as long as the store (a temporary folder).
    """

    place: Path
    table: str
    columns: list[str]
    rows: int
    learners: int
    filled: tuple[str, ...]
    bytes_in_memory: int
    fingerprint: str
    kept: object = field(default=None, repr=False)

    @classmethod
    def open(cls, place: Path, kept: object = None) -> Self:
        """The store in a folder.

        Raises
        ------
        DataError
            If a part is absent or has another size than was written.
        """
        place = Path(place)
        told = json.loads((place / META).read_text(encoding="utf-8"))
        files = told.pop("files")
        broken = [name for name, size in files.items() if not (place / name).is_file() or (place / name).stat().st_size != size]
        if broken:
            raise DataError(f"the store {place} must hold the {len(files)} files it was written with; found {', '.join(broken)} absent or damaged. "
                            "Delete the folder and load the data again.")
        return cls(place, **{**told, "filled": tuple(told["filled"])}, kept=kept)

    @classmethod
    def write(cls, select: str, table: str, place: Path, keyed: Pseudonymiser | None = None, others: Mapping[str, pd.DataFrame] | None = None,
              source: str | None = None, memory: str = "1GB", corrections: Sequence[Mapping[str, Any]] = ()) -> Self:
        """Stream a DuckDB ``SELECT`` over raw files into ``place``, as :func:`edukit.data.streaming.write` does, and open it.

        Raises
        ------
        DataError
            Naming every fault of the raw rows at once; nothing is left behind.
        """
        write(select, table, place, keyed, others, source, memory, corrections)
        return cls.open(place)

    def __len__(self) -> int:
        return self.rows

    @property
    def bytes_on_disk(self) -> int:
        """Size of the parts."""
        return sum(part.stat().st_size for part in self._parts())

    def _parts(self) -> list[Path]:
        return sorted(self.place.glob("part-*.parquet"))

    def _frame(self, rows: pa.Table) -> pd.DataFrame:
        """Rows in the dtypes that :func:`edukit.validation.validate` gives the whole table."""
        kinds = {c.name: c.kind for c in TABLES[self.table].columns}
        nullable = {"int64": pd.Int64Dtype(), "bool": pd.BooleanDtype()}
        frame = rows.to_pandas(types_mapper=lambda kind: nullable.get(str(kind)))
        return frame.astype({c: "int64" for c in frame if kinds[c] == "count" and c in self.filled})

    def iter_learners(self, rows: int = 1_000_000) -> Iterator[pd.DataFrame]:
        """Batches of about ``rows`` rows; a learner is never in two; rows sorted by learner, then order; the same batches every time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        held: list[pa.RecordBatch] = []
        for part in self._parts():
            with pq.ParquetFile(part) as file:
                schema = pa.schema([file.schema_arrow.field(c).with_nullable(True) for c in self.columns])
                for batch in file.iter_batches(batch_size=min(rows, 65_536), columns=self.columns):
                    held.append(pa.record_batch(batch.select(self.columns).columns, schema=schema))
                    if sum(b.num_rows for b in held) >= rows:
                        together = pa.Table.from_batches(held)
                        frame = self._frame(together)
                        cut = len(frame) - int((frame["learner_id"] == frame["learner_id"].iloc[-1]).sum())  # the last learner may go on
                        if cut:
                            yield frame.iloc[:cut]
                        held = together.slice(cut).to_batches()
        if held:
            yield self._frame(pa.Table.from_batches(held))

    def query(self, sql: str, memory: str = "1GB") -> pd.DataFrame:
        """Result of an SQL query over the view ``log``; times are UTC.

        Raises
        ------
        DataError
            If the query cannot be run.
        """
        import duckdb

        database = connect(memory)
        try:
            database.execute(f"CREATE VIEW log AS SELECT * FROM read_parquet([{', '.join(quoted(p) for p in self._parts())}])")
            return database.sql(sql).to_arrow_table().to_pandas()
        except duckdb.Error as error:
            raise DataError(f"the query must be SQL over the view `log` ({', '.join(self.columns)}); found {error}") from None
        finally:
            database.close()

    def learner_ids(self) -> pd.Series:
        """Learner ids in their order of first appearance in the raw files, so that another pseudonym key changes no draw."""
        return pd.read_parquet(self.place / LEARNERS, columns=["learner_id"])["learner_id"]

    def of(self, learners: Sequence[str] | pd.Series) -> pd.DataFrame:
        """All rows of some learners: learners in their order of first appearance in the raw files, rows of a learner in order."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        wanted = pa.array(pd.Series(learners, dtype="str"), type=pa.string())
        return self._in_order(ds.dataset([str(p) for p in self._parts()]).to_table(columns=self.columns, filter=ds.field("learner_id").isin(wanted)))

    def to_frame(self) -> pd.DataFrame:
        """The whole table in memory, in the order of :meth:`of`; see ``bytes_in_memory`` first."""
        import pyarrow.parquet as pq

        return self._in_order(pq.read_table([str(p) for p in self._parts()], columns=self.columns))

    def _in_order(self, rows: pa.Table) -> pd.DataFrame:
        frame, everyone = self._frame(rows), self.learner_ids()
        first = pd.Series(np.arange(len(everyone)), index=everyone)
        return frame.iloc[np.argsort(frame["learner_id"].map(first).to_numpy(), kind="stable")].reset_index(drop=True)


def draw(there: int, wanted: int, seed: int) -> np.ndarray:
    """Sorted positions of ``wanted`` of ``there`` learners, drawn by ``seed``; all of them where there are no more.

    Examples
    --------
    >>> draw(3, 5, seed=0).tolist(), len(draw(100, 5, seed=0))
    ([0, 1, 2], 5)
    """
    if wanted < 1:
        raise DataError(f"learners must be at least 1; found {wanted}. Leave it empty (null) for all of them.")
    return np.arange(there) if wanted >= there else np.sort(np.random.default_rng(seed).choice(there, wanted, replace=False))
