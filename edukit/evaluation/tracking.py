"""Runs in MLflow on a sqlite file: the only module that knows MLflow. The folder can be moved or copied and opened elsewhere."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

DATABASE = "mlflow.db"
PARENT = "EDUKIT_PARENT_RUN"  # set while a sweep runs, so that its jobs nest under one run


def _client(root: Path) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    root = Path(root).resolve()
    root.mkdir(parents=True, exist_ok=True)
    _relocate(root)
    return MlflowClient(tracking_uri(root))


def tracking_uri(root: Path) -> str:
    """Address of the database in a tracking folder, as MLflow wants it."""
    return f"sqlite:///{(Path(root).resolve() / DATABASE).as_posix()}"


def _relocate(root: Path) -> None:
    """Point stored artifact addresses at this folder if it was moved: they are absolute in MLflow's database."""
    file = root / DATABASE
    if not file.is_file():
        return
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        known = database.execute("select name from sqlite_master where name = 'experiments'").fetchone()
        for (place,) in database.execute("select distinct artifact_location from experiments").fetchall() if known else []:
            before, mark, _ = str(place).rpartition("/artifacts/")
            here = root.as_uri()
            if mark and before != here:
                for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                    database.execute(f"update {table} set {column} = ? || substr({column}, ?) where {column} like ? || '/artifacts/%'",
                                     (here, len(before) + 1, before))


def _experiment(client: Any, root: Path, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name, artifact_location=f"{Path(root).resolve().as_uri()}/artifacts/{name}")


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)[:500]
    return flat


def _metric_name(record: dict[str, Any]) -> str:
    """One MLflow key per record: ``auc``, ``auc/model``, ``auc/model/group`` … with the characters MLflow allows."""
    parts = [str(record[k]) for k in ("name", "split", "model", "group", "channel") if record.get(k)]
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in "/".join(parts))[:250]


def track(root: Path, report: dict[str, Any], files: list[Path], started_ms: int, ended_ms: int) -> str:
    """Write one finished run: parameters, metrics (overall and by group), figures, split, report and model.

    Parameters
    ----------
    root : tracking folder.
    report : the content of a :class:`~edukit.evaluation.run_report.RunReport`.
    files : artifacts to keep with the run.

    Returns
    -------
    str
        The run's id.
    """
    from mlflow.entities import Metric, Param, RunTag

    client = _client(root)
    tags = {"mlflow.runName": f"{report['experiment']} {report['data']['label']}", "data_fingerprint": report["data"]["fingerprint"],
            "code_fingerprint": report["environment"]["code"], "split_fingerprint": str(report["split"].get("fingerprint")),
            "seed": str(report["seed"])}
    if parent := os.environ.get(PARENT):
        tags["mlflow.parentRunId"] = parent
    run = client.create_run(_experiment(client, root, report["experiment"]), start_time=started_ms, tags=tags)
    metrics = [Metric(_metric_name(m), float(m["value"]), ended_ms, 0) for m in report["metrics"] if m["value"] is not None and m["value"] == m["value"]]
    params = [Param(k, v) for k, v in _flat(report["config"]).items()]
    for at in range(0, max(len(metrics), len(params)), 100):
        client.log_batch(run.info.run_id, metrics[at:at + 100], params[at:at + 100], [RunTag("source", "edukit")] if not at else [])
    for file in files:
        client.log_artifact(run.info.run_id, str(file))
    client.set_terminated(run.info.run_id, "FINISHED", ended_ms)
    return run.info.run_id


@contextlib.contextmanager
def sweep(root: Path, experiment: str, overrides: list[str]) -> Iterator[str]:
    """One parent run around the jobs of a sweep, in this process and in its workers."""
    from mlflow.entities import Param

    client = _client(root)
    run = client.create_run(_experiment(client, root, experiment), tags={"mlflow.runName": f"sweep {' '.join(overrides)}"[:250]})
    client.log_batch(run.info.run_id, params=[Param("overrides", " ".join(overrides)[:500])])
    os.environ[PARENT] = run.info.run_id
    status = "FAILED"
    try:
        yield run.info.run_id
        status = "FINISHED"
    finally:
        os.environ.pop(PARENT, None)
        client.set_terminated(run.info.run_id, status)


def runs(root: Path) -> pd.DataFrame:
    """One row per tracked run: id, experiment, parent, data fingerprint and start."""
    client = _client(root)
    found = [r for e in client.search_experiments() for r in client.search_runs([e.experiment_id], max_results=1000)]
    return pd.DataFrame([{"run_id": r.info.run_id, "name": r.data.tags.get("mlflow.runName"), "parent": r.data.tags.get("mlflow.parentRunId"),
                          "data_fingerprint": r.data.tags.get("data_fingerprint"), "started_ms": r.info.start_time,
                          "artifacts": r.info.artifact_uri} for r in found])


def experiment_ids(root: Path) -> list[str]:
    """Ids of all experiments that hold runs, for the address of the training-runs view."""
    client = _client(root)
    return [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
