"""Runs in MLflow on a sqlite file: the only module that knows MLflow. The folder can be moved or copied and opened elsewhere."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import pandas as pd

from edukit.reproducibility import fingerprint
from edukit.schema import DataError

DATABASE = "mlflow.db"
PARENT = "EDUKIT_PARENT_RUN"  # set while a sweep runs, so that its jobs nest under one run


def default_root() -> Path:
    """The tracking folder of the command line: ``EDUKIT_TRACKING``, else ``tracking`` in the folder of outputs."""
    return Path(os.environ.get("EDUKIT_TRACKING") or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "tracking")


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
            "code_fingerprint": report["environment"]["code"], "config_fingerprint": fingerprint(report["config"]),
            "split_fingerprint": str(report["split"].get("fingerprint")),
            "seed": str(report["seed"]), **({"folder": str(files[0].parent.resolve())} if files else {})}
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
def sweep(root: Path, experiment: str, overrides: list[str], resume: str | None = None) -> Iterator[str]:
    """One parent run around the jobs of a sweep, in this process and in its workers.

    The parent is ``resume``, or the one that a sweep of the same words left unfinished, or a new one.
    """
    from mlflow.entities import Param

    client, words, before = _client(root), " ".join(overrides), os.environ.get(PARENT)
    place = _experiment(client, root, experiment)
    left = [r.info.run_id for r in _all(client) if r.info.experiment_id == place and r.info.status != "FINISHED" and r.data.tags.get("sweep") == words]
    if parent := resume or next(iter(left), None):
        client.update_run(parent, "RUNNING")
    else:
        parent = client.create_run(place, tags={"mlflow.runName": f"sweep {words}"[:250], "sweep": words[:5000]}).info.run_id
        client.log_batch(parent, params=[Param("overrides", words[:500])])
    os.environ[PARENT] = parent
    status = "FAILED"
    try:
        yield parent
        status = "FINISHED"
    finally:
        os.environ.pop(PARENT, None) if before is None else os.environ.update({PARENT: before})
        client.set_terminated(parent, status)


def done_before(root: Path, config: dict[str, Any], data: str, code: str) -> str | None:
    """Id of the run under the sweep in force with this config and these fingerprints of data and code; None without a sweep or such a run."""
    if (parent := os.environ.get(PARENT)) is None:
        return None
    same = {"mlflow.parentRunId": parent, "data_fingerprint": data, "code_fingerprint": code, "config_fingerprint": fingerprint(config)}
    return next((r.info.run_id for r in _all(_client(root)) if r.info.status == "FINISHED" and same.items() <= r.data.tags.items()), None)


def _all(client: Any, **where: str) -> list[Any]:
    """Every run of every experiment, page by page."""
    found, page = [], None
    ids = [e.experiment_id for e in client.search_experiments()]
    while ids and (page is None or page.token):
        page = client.search_runs(ids, max_results=1000, page_token=page.token if page else None, **where)
        found += page
    return found


def _files(run: Any) -> Path:
    return Path(url2pathname(urlparse(run.info.artifact_uri).path))


def runs(root: Path) -> pd.DataFrame:
    """One row per tracked run: id, experiment, parent, data fingerprint, start, and the folder of its files; the newest run first."""
    client = _client(root)
    names = {e.experiment_id: e.name for e in client.search_experiments()}
    rows = [{"run_id": r.info.run_id, "name": r.data.tags.get("mlflow.runName"), "parent": r.data.tags.get("mlflow.parentRunId"),
             "data_fingerprint": r.data.tags.get("data_fingerprint"), "started_ms": r.info.start_time, "artifacts": r.info.artifact_uri,
             "experiment": names[r.info.experiment_id], "files": _files(r)} for r in _all(client)]
    return pd.DataFrame(rows)


def find(root: Path, word: str) -> tuple[str, Path]:
    """Id of the one tracked run whose id begins with ``word``, and the folder of its files.

    Raises
    ------
    DataError
        Where nothing is tracked in ``root``, no run fits, or more than one.
    """
    if not (Path(root) / DATABASE).is_file():
        raise DataError(f"{root} must hold tracked runs; found none. Run an experiment first (edukit run trace), or give the folder of a run.")
    fit = [r for r in _all(_client(root)) if word and r.info.run_id.startswith(word.lower())]
    if len(fit) != 1:
        some = f" ({', '.join(r.info.run_id[:len(word) + 4] for r in fit[:4])}, ...)" if fit else ""
        raise DataError(f"a run must be the id of one tracked run, the beginning of one, `last`, or the folder of a run; found {word!r}, with which "
                        f"{len(fit) or 'no'} run{'s' * (len(fit) != 1)} of {root} begin{some}. `edukit ui` shows the ids.")
    return fit[0].info.run_id, _files(fit[0])


def run_in(root: Path, folder: Path) -> str | None:
    """Id of the tracked run that wrote its report into ``folder``; None where none did."""
    if not (Path(root) / DATABASE).is_file():
        return None
    there = str(Path(folder).resolve())
    return next((r.info.run_id for r in _all(_client(root)) if there in (r.data.tags.get("folder"), str(_files(r)))), None)


def tag(root: Path, run_id: str, tags: dict[str, str]) -> None:
    """Set tags of a tracked run; ``mlflow.parentRunId`` shows it below another one."""
    client = _client(root)
    for name, value in tags.items():
        client.set_tag(run_id, name, value)


def experiment_ids(root: Path) -> list[str]:
    """Ids of all experiments that hold runs, for the address of the training-runs view."""
    client = _client(root)
    return [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
