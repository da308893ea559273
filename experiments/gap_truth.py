"""Labels of a gap map against the truth of an invented world: precision and recall per cause, and how often the shares' intervals hold the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from edukit.data.synthetic import CAUSES, GAIN, LOW, World
from edukit.metrics import interval, record

SHARES = ("prior_knowledge", "teaching", "content")
LEAST = 0.05
COVERAGE = {"share_coverage": None, "share_coverage_above_.05": "{}_share", "share_coverage_said_above_.05": "{}"}  # column that must exceed LEAST
ERROR = "share_said_less_true"  # mean of the stuck cells, in shares of the need
TOLD = ("abstention", "not_enough_data", *COVERAGE, ERROR, "missing_root_named_teaching", "said_of_teacher", "teacher_or_class_right")
NOT_JUDGED = "missing_root"  # planted in a root: nothing can be undone there, and responses cannot tell it from bad teaching


def truth_at(truth: pd.DataFrame, mark: float) -> np.ndarray:
    """(N,) the generator's own label of each cell, were a cell low below ``mark``; at its own mark these are ``truth.label``."""
    low = [truth["apparent" if cause == "content" else "mastery"] < mark for cause in CAUSES]
    gains = np.array([np.where(is_low, truth[cause], 0) for cause, is_low in zip(CAUSES, low, strict=True)])
    return np.where(gains.max(axis=0) > GAIN, np.array(CAUSES, object)[gains.argmax(axis=0)], "none")


def beside(gaps: pd.DataFrame, truth: pd.DataFrame, fail: float) -> pd.DataFrame:
    """Cells of the classes with what was said and what is true: ``label, true_low`` (the generator's mark), ``true_fail`` (the map's), shares.

    Cells with a planted missing root are in the table; :func:`records` counts them apart.
    """
    known = truth.assign(true_low=truth_at(truth, LOW), true_fail=truth_at(truth, fail))
    known = known[["class_id", "concept_id", "true_low", "true_fail", "injected", "apparent", *(f"{cause}_share" for cause in SHARES)]]
    said = gaps[["class_id", "concept_id", "state", "stuck", "label", *(f"{cause}{end}" for cause in SHARES for end in ("", "_low", "_high") if cause in gaps)]]
    cells = known.merge(said, on=["class_id", "concept_id"])
    return cells.assign(stuck=cells["stuck"].fillna(False).astype(bool))


def with_levels(cells: pd.DataFrame, levels: pd.DataFrame, interactions: pd.DataFrame) -> pd.DataFrame:
    """Cells with what is said of teaching, ``level``, and ``true_level``: teacher where every class that a teacher of several has on the concept was
    planted as badly taught, else class. ``interactions`` holds the concept of every response.
    """
    told = cells.merge(levels[["class_id", "concept_id", "level"]], on=["class_id", "concept_id"], how="left")
    rows = interactions.drop_duplicates(["class_id", "concept_id", "teacher_id"])[["class_id", "concept_id", "teacher_id"]]
    rows = rows.merge(cells[["class_id", "concept_id", "injected"]], on=["class_id", "concept_id"])
    bad = rows.assign(bad=rows["injected"] == "badly_taught").groupby(["teacher_id", "concept_id"])["bad"].transform("all")
    many = rows.groupby(["teacher_id", "concept_id"])["class_id"].transform("size") > 1
    whole = pd.MultiIndex.from_frame(rows.loc[bad & many, ["class_id", "concept_id"]])
    return told.assign(true_level=np.where(pd.MultiIndex.from_frame(told[["class_id", "concept_id"]]).isin(whole), "teacher", "class"))


def records(worlds: Sequence[pd.DataFrame], model: str, split: str, fail: float, draws: int = 200, seed: int = 0) -> list[dict]:
    """Precision and recall by cause at both marks, abstention, and coverage of the shares (of all, of those above .05 in truth, of those said to be).

    Coverage is told by cause and, as group ``all``, of the shares of all causes together; ``share_said_less_true`` is the mean of what is said less
    what is true, by cause. 95 % intervals over worlds (over concepts where there is one).

    Parameters
    ----------
    worlds : tables of :func:`beside`. model, split : names for the records. fail : the map's mark. draws : of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    roots = pd.concat([cells[cells["injected"] == NOT_JUDGED] for cells in worlds])
    worlds = [cells[cells["injected"] != NOT_JUDGED] for cells in worlds]
    units = worlds if len(worlds) > 1 else [cell for _, cell in worlds[0].groupby("concept_id")]
    picks = [rng.integers(0, len(units), len(units)) for _ in range(draws)]
    found: list[dict] = []

    def add(name: str, top: list[np.ndarray], group: str | None, channel: str | None) -> None:
        """A ratio of counts per unit: (hits, of how many)."""
        counts = np.array(top, float)
        hit, of = counts.sum(axis=0)
        drawn = np.array([counts[pick].sum(axis=0) for pick in picks])
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = interval(drawn[:, 0] / drawn[:, 1])
        value = hit / of if of else None
        found.append(record(name, value, int(of), low if of else None, high if of else None, split=split, model=model, group=group, channel=channel))

    for channel, column in ((f"mark_{LOW:.2f}", "true_low"), (f"mark_{fail:.2f}", "true_fail")):
        for cause in CAUSES:
            right = [((cells["label"] == cause) & (cells[column] == cause)).sum() for cells in units]
            for name, of in (("precision", "label"), ("recall", column)):
                add(name, [np.array([hit, (cells[of] == cause).sum()]) for hit, cells in zip(right, units, strict=True)], cause, channel)
    stuck = roots[roots["stuck"]]
    share = float((stuck["label"] == "teaching").mean()) if len(stuck) else None
    found.append(record("missing_root_named_teaching", share, len(stuck), split=split, model=model))
    add("abstention", [np.array([(cells["stuck"] & cells["label"].isin(["undetermined"])).sum(), cells["stuck"].sum()]) for cells in units], None, None)
    add("not_enough_data", [np.array([(cells["state"] != "estimated").sum(), len(cells)]) for cells in units], None, None)
    if "level" in units[0]:
        add("said_of_teacher", [np.array([(cells["level"] == "teacher").sum(), cells["level"].notna().sum()]) for cells in units], None, None)
        planted = [cells[cells["level"].notna() & (cells["injected"] == "badly_taught")] for cells in units]
        add("teacher_or_class_right", [np.array([(cells["level"] == cells["true_level"]).sum(), len(cells)]) for cells in planted], None, None)
    causes = [cause for cause in SHARES if f"{cause}_low" in units[0]]
    for cause in causes:
        for name, column in COVERAGE.items():
            add(name, [_covered(cells, cause, column) for cells in units], cause, None)
        errors = [(cells[cause] - cells[f"{cause}_share"])[_asked(cells, cause)] for cells in units]
        add(ERROR, [np.array([wrong.sum(), len(wrong)]) for wrong in errors], cause, None)
    for name, column in COVERAGE.items() if causes else ():
        add(name, [sum(_covered(cells, cause, column) for cause in causes) for cells in units], "all", None)
    return found


def _asked(cells: pd.DataFrame, cause: str) -> pd.Series:
    """(N,) whether a cell is stuck, with a true need and an interval of the share."""
    return cells["stuck"] & cells[f"{cause}_share"].notna() & cells[f"{cause}_low"].notna()


def _covered(cells: pd.DataFrame, cause: str, column: str | None) -> np.ndarray:
    """(hits, cells): stuck cells with a true need whose interval holds the share that the simulator's own do() gives.

    In most cells that share is exactly 0, where an interval around 0 never fails; ``column`` leaves out those not above .05 in it. Above .05 in truth
    are the cells that were planted as such: a cell of which responses say nothing is missed there, as a map that expects few of them must miss it
    (few learners are ready for the concept, and a rare cause stays unlikely); where the map says more than .05 no such choice is made by the truth.
    """
    true, low, high = cells[f"{cause}_share"], cells[f"{cause}_low"], cells[f"{cause}_high"]
    asked = _asked(cells, cause)
    asked &= cells[column.format(cause)] > LEAST if column else True
    return np.array([(asked & (true >= low - 1e-6) & (true <= high + 1e-6)).sum(), asked.sum()])


def lines(metrics: Sequence[dict]) -> list[str]:
    """Precision / recall by cause, one line per variant, model and mark."""
    table = pd.DataFrame([m for m in metrics if m["name"] in ("precision", "recall")])
    found = []
    for (split, model, channel), rows in table.groupby(["split", "model", "channel"], sort=False):
        values = rows.pivot(index="group", columns="name", values="value")
        told = ", ".join(f"{str(cause).replace('_', ' ')} {r.precision:.2f}/{r.recall:.2f}" for cause, r in values.reindex(CAUSES).iterrows())
        found.append(f"  {split:<22}{model:<11}{str(channel).replace('mark_', 'low below ')}   {told}")
    rest = [m for m in metrics if m["name"] in TOLD]
    for m in rest:
        if m["model"] == "posterior" and m["value"] is not None:
            span = "" if m["low"] is None else f" [{m['low']:.3f}, {m['high']:.3f}]"
            found.append(f"  {m['split']:<22}{m['name'].replace('_', ' ')} {m['group'] or ''} {m['value']:.3f}{span}")
    return found


def naive(tables: dict[str, pd.DataFrame], fail: float) -> pd.DataFrame:
    """What thresholds on raw rates would say, for comparison: table like ``gaps`` with ``state, stuck, label`` of every class and concept.

    A class fails a concept where its share right lies below ``fail``. Associated with prior knowledge if it fails a prerequisite; curriculum-wide
    if over 60 % of the other classes fail; content if half of the concept's items lie below .35 in the whole cohort; else teaching.
    """
    rows = tables["interactions"].merge(tables["q_matrix"], on="item_id")
    rate = rows.groupby(["class_id", "concept_id"])["correct"].mean().unstack()
    failing = rate < fail
    by_item = rows.groupby(["concept_id", "item_id"])["correct"].mean() < 0.35
    flawed = by_item.groupby("concept_id").mean() >= 0.5
    parents = tables["prerequisites"].groupby("concept_id")["requires_id"].agg(list)
    before = pd.DataFrame({k: failing[parents[k]].any(axis=1) if k in parents else False for k in failing.columns}, index=failing.index)
    others = (failing.sum() - failing) / max(len(failing) - 1, 1) > 0.6
    broken = np.broadcast_to(flawed.reindex(failing.columns), failing.shape)
    label = np.select([before, broken, others], ["prior_knowledge", "content", "curriculum_wide"], "teaching")
    table = pd.DataFrame({"class_id": np.repeat(failing.index, failing.shape[1]), "concept_id": np.tile(failing.columns, len(failing)),
                          "stuck": failing.to_numpy().ravel(), "label": label.ravel()})
    return table.assign(state="estimated", label=table["label"].where(table["stuck"]))


def later(world: World, q_matrix: pd.DataFrame, mine: pd.DataFrame) -> float:
    """Share of responses on what a learner masters in the end that were given before: the map cannot see that mastery, the truth counts it.

    ``mine``: rows of the invented world's interactions, those that the map rests on.
    """
    tagged = mine[["learner_id", "item_id"]].assign(before=~world.mastered[mine.index].astype(bool), row=range(len(mine))).merge(q_matrix, on="item_id")
    wide = world.mastery
    tagged["end"] = wide.to_numpy()[wide.index.get_indexer(tagged["learner_id"]), wide.columns.get_indexer(tagged["concept_id"])]
    rows = tagged.groupby("row").agg(before=("before", "first"), end=("end", "all"))
    return float(rows.loc[rows["end"], "before"].mean())
