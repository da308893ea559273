"""Prepared tables out of edukit: as csv or parquet for other tools, a framework as CASE, responses as xAPI statements.

Concept, item and content ids leave as they came; learner, class and teacher ids leave as the pseudonyms of this machine.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from edukit.data.interaction_store import InteractionStore
from edukit.data.loader import LearningData
from edukit.formats import case, xapi
from edukit.reproducibility import replacing
from edukit.schema import DataError

FORMATS = ("csv", "parquet", "case", "xapi")


def export(data: LearningData, folder: Path, form: str = "csv") -> list[Path]:
    """Write the tables of one data set into a folder of its own.

    Parameters
    ----------
    data : as :func:`edukit.data.store.load` returns it.
    folder : it must not exist; it appears whole or not at all.
    form : 'csv' or 'parquet' (a file per table), 'case' (`framework.json`: concepts, headings and prerequisites, 1EdTech CASE 1.1),
        'xapi' (`statements.jsonl`: one answered statement per response).

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    DataError
        If the folder exists, the form is unknown, or the data lacks the tables that the form is for.
    """
    if form not in FORMATS:
        raise DataError(f"the format must be one of {', '.join(FORMATS)}; found {form}")
    if folder.exists():
        raise DataError(f"{folder} must be a new folder; found it there already. Name another, or remove it.")
    with replacing(folder) as fresh:
        fresh.mkdir()
        if form == "case":
            tables = {name: data[name] for name in ("concepts", "prerequisites", "concept_tree") if name in data.tables or name == "concepts"}
            case.write(tables, fresh / "framework.json", data.label, changed=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00"))
        elif form == "xapi":
            log = data["interactions"]
            if isinstance(log, InteractionStore):
                raise DataError(f"data {data.label} has {len(log):,} responses, too many for one xAPI file. Draw some learners, or export parquet.")
            xapi.write(log, fresh / "statements.jsonl", data.tables.get("q_matrix"))
        else:
            for name, table in data.tables.items():
                _write(table, fresh / f"{name}.{form}", form)
    return sorted(folder.iterdir())


def _write(table: pd.DataFrame | InteractionStore, path: Path, form: str) -> None:
    """One table into one file, batch by batch, so that a log larger than memory goes out as well."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches = table.iter_learners() if isinstance(table, InteractionStore) else [table]
    if form == "csv":
        for number, batch in enumerate(batches):
            batch.to_csv(path, mode="w" if not number else "a", header=not number, index=False, encoding="utf-8")
        return
    writer = None
    try:
        for batch in batches:
            rows = pa.Table.from_pandas(batch, schema=writer.schema if writer else None, preserve_index=False)
            writer = writer or pq.ParquetWriter(path, rows.schema)
            writer.write_table(rows)
    finally:
        if writer:
            writer.close()
