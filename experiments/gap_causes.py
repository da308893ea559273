"""From responses to a gap map with causes: screen the items, fit the joint posterior on the sound ones, split each need, gather the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from edukit.gaps.attribution import Attribution
from edukit.gaps.evidence import gap_evidence
from edukit.gaps.gap_map import GapMap
from edukit.gaps.item_screen import ItemScreen, content_gaps
from edukit.gaps.posterior import Posterior
from edukit.protocols import PrerequisiteGraph, Tables
from edukit.schema import DataError, has_order


@dataclass(frozen=True)
class Explained:
    """A gap map with what it rests on: tables ``gaps``, ``item_screen`` and ``gap_evidence``, per concept what is wrong with its items, and the model.

    ``levels``: per cell associated with teaching, whether that is so for the class or for the classes of its teacher; see :meth:`Attribution.levels`.
    """

    gaps: pd.DataFrame
    screen: pd.DataFrame
    evidence: pd.DataFrame
    contents: pd.DataFrame
    posterior: Posterior | None
    levels: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["class_id", "concept_id", "level"]))


def explain(tables: Tables, graph: PrerequisiteGraph, cfg: DictConfig, by: str = "class_id", groups: pd.Series | None = None,
            otherwise: Callable[[], pd.DataFrame] | None = None) -> Explained:
    """Map a cohort's gaps and say what each is associated with.

    Parameters
    ----------
    tables : of the data; ``interactions`` and ``q_matrix`` are read.
    graph : prerequisites, doubted as ``cfg.posterior.trust`` says; without edges prior knowledge cannot be judged.
    cfg : with ``gaps, item_screen, posterior, attribution`` (conf/gaps).
    by : column that makes the classes. groups : group per learner_id, for differential item functioning only.
    otherwise : gives a table ``mastery`` where no cause can be told (no concept has two items; terms are compared, in which the same learners
        sit); None = the posterior is asked all the same.
    """
    if by == "term" and otherwise is None:
        raise DataError("causes are told of classes or teachers; found by=term, and no mastery to map instead. Map the rows of one term.")
    log, q_matrix = tables["interactions"], tables["q_matrix"]
    rules: GapMap = instantiate(cfg.gaps)
    screener: ItemScreen = instantiate(cfg.item_screen)
    screen = screener.screen(log, q_matrix, groups, graph.prerequisites if len(graph.prerequisites) else None)
    contents = content_gaps(screen, screener)
    if otherwise is not None and (by == "term" or q_matrix.groupby("concept_id")["item_id"].nunique().max() < 2):
        gaps = rules.map(otherwise(), log, q_matrix, by=by).assign(label=pd.Series(pd.NA, dtype="str"))
        return Explained(gaps, screen, gap_evidence(gaps, log, q_matrix, graph.prerequisites, screen, by, rules.k), contents, None)
    flagged = screen[screen["flagged"]].drop_duplicates("item_id").set_index("item_id")
    biased = flagged.index[flagged["flags"].isin(["dif", "nonuniform_dif", "dif; nonuniform_dif"])]
    posterior: Posterior = instantiate(cfg.posterior, by=by, learn_edges=bool(cfg.posterior.learn_edges and len(graph.prerequisites)))
    dif_items = {} if groups is None else flagged.loc[biased, "dif_group"].dropna().to_dict()
    now = latest(log, q_matrix)
    posterior.fit(now, graph, groups, flawed=flagged.index.difference(biased), dif_items=dif_items,
                  progress=lambda sweeps: tqdm(sweeps, desc="posterior", unit="sweep", mininterval=1, leave=False, disable=None))
    gaps = rules.map(posterior.mastery(), now, q_matrix, by=by)
    attribution: Attribution = instantiate(cfg.attribution)
    suspected = contents.loc[contents["suspected"].fillna(False).astype(bool), "concept_id"]
    gaps = attribution.attribute(gaps, posterior, set(suspected), rules)
    evidence = gap_evidence(gaps, log, q_matrix, graph.prerequisites, screen, by, rules.k)
    return Explained(gaps, screen, evidence, contents, posterior, attribution.levels(gaps, posterior.teachers(attribution.low_effect)))


def latest(log: pd.DataFrame, q_matrix: pd.DataFrame) -> pd.DataFrame:
    """Responses of the last term in which a learner met one of the item's concepts: what they know now, not what they knew on average.

    A log of one term, or whose order is unknown, comes back as it is.
    """
    if "term" not in log or log["term"].nunique() < 2 or not has_order(log):
        return log
    when = log.groupby(["learner_id", "term"], dropna=False)["order"].transform("max")
    rows = log[["learner_id", "item_id"]].assign(when=when, row=range(len(log))).merge(q_matrix[["item_id", "concept_id"]].drop_duplicates(), on="item_id")
    last = rows["when"] == rows.groupby(["learner_id", "concept_id"])["when"].transform("max")
    return log.iloc[sorted(set(rows.loc[last, "row"]))]


def groups_of(tables: Tables, column: str | None) -> pd.Series | None:
    """Group per learner_id of one attribute; None where none is asked for.

    Raises
    ------
    DataError
        Where the data have no such attribute.
    """
    if column is None:
        return None
    learners = tables.get("learners", pd.DataFrame())
    if column not in learners or column == "learner_id":
        there = [name for name in learners.columns if name != "learner_id"]
        raise DataError(f"dif_by must name an attribute of the learners; found {column!r}, and the data have {', '.join(there) or 'none'}.")
    return learners.set_index("learner_id")[column].dropna()


def describe(gaps: pd.DataFrame, contents: pd.DataFrame, screen: pd.DataFrame) -> list[str]:
    """Lines for the terminal: how many items are flagged, how many cells are stuck, and with what their need is associated."""
    stuck = gaps[gaps["stuck"].fillna(False).astype(bool)]
    named = stuck["label"].fillna("no cause given").value_counts()
    flagged = screen.loc[screen["flagged"], "item_id"].nunique()
    suspected, causes = int(contents["suspected"].fillna(False).sum()), ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in named.items())
    return [f"items: {flagged:,} of {screen['item_id'].nunique():,} flagged; the items of {suspected:,} concepts should be looked at",
            f"stuck cells: {len(stuck):,}, associated with {causes or 'nothing'}"]


def remarks(found: Explained, by: str) -> list[str]:
    """Lines on what was not asked or cannot be judged and why, and on whom teaching is said of."""
    if found.posterior is None:
        why = "the same learners sit in several terms" if by == "term" else "no concept has two items: a gap looks like a hard item"
        return [f"causes: not asked, as {why}"]
    said, gaps = [], found.gaps
    if few := gaps.loc[gaps["badge"].notna(), "concept_id"].nunique():
        said.append(f"items: {few:,} of {gaps['concept_id'].nunique():,} concepts have too few to tell a gap from a flawed item, and get no cause")
    if not found.posterior.edge_probabilities().any():
        said.append("prerequisites: none known, so that prior knowledge cannot be judged, and content alone can be named")
    level = found.levels["level"].value_counts()
    if len(level):
        said.append(f"teaching: {level.get('class', 0):,} cells said of the class alone, {level.get('teacher', 0):,} of a teacher in several classes")
    return said
