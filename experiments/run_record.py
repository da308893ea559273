"""What is left on record of every run: its line in the audit trail, its data-protection sheet and, where it kept a model, the card of that model."""

from __future__ import annotations

import glob
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edukit.data import LearningData
from edukit.data.store import pseudonymiser
from edukit.evaluation import audit_trail, data_sheet, model_card
from edukit.processes import is_first
from edukit.reproducibility import bundled

WORDS = 500  # letters kept of a command
ROOMS = ("grading", "risk", "tracing", "gaps", "graph")  # the first that the config of an experiment sets is the room of its model


@contextmanager
def claimed(place: Path) -> Iterator[Path]:
    """The place itself, or with a number behind it where a run of the same second lies or is being made there; nobody else is given it meanwhile.

    Who makes a run holds a lock that ends with the process: what killed runs left in the folder is removed first.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    for claim in place.parent.glob(".*.claim"):
        with _held(claim) as left:
            for draft in place.parent.glob(f"{glob.escape(claim.name.removesuffix('claim'))}*") if left else ():
                if draft.is_dir():
                    shutil.rmtree(draft, ignore_errors=True)
    found, number = place, 2
    while True:
        with _held(found.with_name(f".{found.name}.claim"), new=True) as free:
            if free and not found.exists():
                yield found
                return
        found, number = place.with_name(f"{place.name}-{number}"), number + 1


@contextmanager
def _held(claim: Path, new: bool = False) -> Iterator[bool]:
    """Hold a claim while the block runs, and remove it then; False where another process holds it, or (without ``new``) nobody can tell."""
    try:
        handle = os.open(claim, os.O_RDWR | (os.O_CREAT | os.O_EXCL if new else 0), 0o600)
    except OSError:  # it is there already, or gone meanwhile
        yield False
        return
    try:
        mine = _locked(handle, new) and _lies_at(claim, handle)
        try:
            yield mine
        finally:
            if mine and os.name != "nt":  # before the lock ends
                claim.unlink(missing_ok=True)
    finally:
        os.close(handle)
    if mine and os.name == "nt":  # where an open file cannot be removed
        claim.unlink(missing_ok=True)


def _locked(handle: int, new: bool) -> bool:
    """Whether this process has the lock of an open claim now; where there are no locks, a claim is its maker's."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return new
    return True


def _lies_at(claim: Path, handle: int) -> bool:
    """Whether an open claim has not been removed, and made again by another run, before it was locked."""
    try:
        return os.path.samestat(os.fstat(handle), claim.stat())
    except OSError:
        return False


@contextmanager
def noted(cfg: DictConfig, data: LearningData, place: Path) -> Iterator[None]:
    """Leave a line in the audit trail of a run that does not come to its end: it has seen the data all the same."""
    try:
        yield
    except BaseException as error:
        if is_first():
            enter(cfg, data, place, f"stopped: {type(error).__name__}")
        raise


def enter(cfg: DictConfig, data: LearningData, place: Path, state: str) -> str:
    """Write the line of a run into the audit trail of its outputs; returns the mark of the line."""
    return audit_trail.append(Path(cfg.paths.outputs), command=shlex.join(sys.argv)[:WORDS], experiment=str(cfg.experiment), data=data.label,
                              data_fingerprint=data.fingerprint, run=f"{place.parent.name}/{place.name}", state=state)


def write(job: Any, place: Path, loader: Any, environment: dict[str, Any]) -> list[str]:
    """Write the sheet, and the card of a model that was kept (a file called ``model.*``), into the folder of a run; returns their names.

    Parameters
    ----------
    job : the :class:`~edukit.experiments.recipe.Run`, all else of it complete.
    place : where the folder will lie. loader : what made the data.
    """
    cfg, data, sections = job.cfg, job.data, job.data.card.sections
    about = {"label": data.label, "fingerprint": data.fingerprint, "rows": {name: len(table) for name, table in data.tables.items()}}
    columns = {name: [str(c) for c in table.columns] for name, table in data.tables.items()}
    purpose = (bundled("conf") / f"{cfg.experiment}.yaml").read_text(encoding="utf-8").split("\n")[0].removeprefix("# ")
    version = None if getattr(loader, "invented", False) else pseudonymiser().key_version
    content = data_sheet.sheet(experiment=str(cfg.experiment), purpose=purpose, data=about, columns=columns, key_version=version,
                               consent=sections.get("Consent and licence", ""), folder=Path(place.parent.name) / place.name,
                               tracking="the tracked runs of this machine" if cfg.paths.tracking else None, audit_mark=enter(cfg, data, place, "written"))
    written = data_sheet.write(job.folder, content)
    model = next((m["model"] for m in job.metrics if m["model"]), None)
    if model and any(job.folder.glob("model.*")):
        room = next(room for room in ROOMS if room in cfg)
        settings: Any = OmegaConf.to_container(cfg[room], resolve=True)
        written += model_card.write(job.folder, model_card.card(
            model=str(model), room=room, settings=settings, data=about, description=str(data.card.croissant.get("description", "")),
            not_for=sections.get("Do not use for", ""), to_audit=sections.get("Groups to audit", ""), split=job.split, metrics=job.metrics,
            fairness=job.fairness, environment=environment, seed=job.seed))
    return written
