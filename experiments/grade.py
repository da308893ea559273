"""Grade written answers, and say how far the scores can be trusted: agreement beside people's own, what is left to a person, elements, deceit, groups."""

from __future__ import annotations

from typing import Any

import hydra
import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from edukit.data.gaming_answers import KINDS, gamed
from edukit.evaluation import RunReport, by_group
from edukit.evaluation.agreement import DRAWS, agreement, exact
from edukit.governance.privacy import K
from edukit.grading.answer_checks import check
from edukit.grading.deferral import LEFT, defer, risk_coverage
from edukit.metrics import bootstrap, ece, interval, quadratic_weighted_kappa, record
from edukit.report import gap_page, grading_figures
from edukit.reproducibility import replacing
from edukit.validation import validate

from . import fairness_audit, grading_protocol, recipe
from .grade_report import KEPT, KEPT_MEAN, MEAN, minutes, rows_of


def kept(judged: grading_protocol.Judged, cfg: DictConfig) -> pd.DataFrame:
    """Grades with the least sure left to a person: a share of them, or, for an agreement, by a threshold from the other half of the answers."""
    if cfg.target_qwk is None:
        within = None if judged.labels else judged.answers.set_index("answer_id")["question_id"]  # the share holds within each question
        return defer(judged.grades, judged.probabilities, max_fraction=cfg.max_deferred, questions=within)
    half = np.random.default_rng(int(cfg.seed)).permutation(len(judged.grades)) % 2
    known = judged.probabilities.assign(y=judged.truth.reindex(judged.probabilities.index), question_id=judged.answers.set_index("answer_id")["question_id"])
    parts = [defer(judged.grades[half == k], judged.probabilities, target_qwk=cfg.target_qwk,
                   calibrated_on=known.loc[judged.grades.loc[half != k, "answer_id"]]) for k in (0, 1)]
    return pd.concat(parts).sort_index()


def measured(judged: grading_protocol.Judged, grades: pd.DataFrame, cfg: DictConfig, learners: pd.DataFrame | None) -> list[dict]:
    """Agreement of one part: of all answers, by group, by question (not of labels, which are no scale), of those kept; and how calibrated it is."""
    answers = judged.answers.set_index("answer_id").loc[judged.grades["answer_id"]]
    y, predicted, stay = judged.truth.loc[answers.index].to_numpy(float), judged.grades["score"].to_numpy(float), ~grades["deferred"].to_numpy(bool)
    units = (answers["learner_id"] if "learner_id" in answers else answers.index.to_series()).to_numpy()
    groups = None if learners is None or "learner_id" not in answers else learners.set_index("learner_id").reindex(answers["learner_id"])[
        by_group.attributes(learners)]
    second = answers["second_score"].to_numpy(float) if "second_score" in answers else np.full(len(y), np.nan)
    levels, seed, question = judged.probabilities.columns.to_numpy(float), int(cfg.seed), answers["question_id"].to_numpy()
    found = agreement(y, predicted, levels, second, groups, units, seed)
    found += agreement(y[stay], predicted[stay], levels, second[stay], None, units[stay], seed, channel=KEPT)
    for name in pd.unique(question) if not judged.labels else ():
        for rows, channel in ((question == name, None), ((question == name) & stay, KEPT)):
            if len(pd.unique(units[rows])) < K:
                continue
            told = agreement(y[rows], predicted[rows], levels, second[rows], None, units[rows], seed, channel=channel)
            found += [{**one, "group": f"question_id={name}"} for one in told if one["group"] is None]
    for rows, channel in ((np.ones(len(y), bool), MEAN), (stay, KEPT_MEAN)) if not judged.labels else ():
        found.append(record("qwk", *reported(judged, rows, cfg), channel=channel))
    sure = judged.grades["confidence"].to_numpy(float)
    found += [record("deferred", float(1 - stay.mean()), len(stay)), record("ece", ece((predicted == y).astype(float), sure), len(y))]
    return [{**one, "split": judged.part, "model": judged.grader.kind} for one in found]


def reported(judged: grading_protocol.Judged, stay: np.ndarray, cfg: DictConfig) -> tuple[float, int, float, float]:
    """The agreement that is reported of the answers kept, (N,) bool: mean kappa of questions, of labels the share of equal ones; how many; its interval."""
    answers = judged.answers.set_index("answer_id").loc[judged.grades["answer_id"]]
    y, predicted = judged.truth.loc[answers.index].to_numpy(float)[stay], judged.grades["score"].to_numpy(float)[stay]
    units = (answers["learner_id"] if "learner_id" in answers else answers.index.to_series()).to_numpy()[stay]
    if judged.labels:
        ends = bootstrap(y, predicted, pd.factorize(pd.Series(units))[0], exact, int(cfg.seed), DRAWS)
        return exact(y, predicted), len(y), *ends
    return mean_kappa(y, predicted, answers["question_id"].to_numpy()[stay], units, int(cfg.seed), int(cfg.draws))


def mean_kappa(y: np.ndarray, predicted: np.ndarray, question: np.ndarray, units: np.ndarray, seed: int, draws: int) -> tuple[float, int, float, float]:
    """Mean over questions of the quadratic weighted kappa; how many answers; and its 95 % interval, whole learners drawn again."""
    codes, people = pd.factorize(question)[0], pd.factorize(units)[0]
    own, rng, size = [np.flatnonzero(codes == k) for k in range(codes.max() + 1)], np.random.default_rng(seed), int(people.max()) + 1

    def mean(weight: np.ndarray) -> float:
        by = [quadratic_weighted_kappa(y[rows], predicted[rows], weight[rows]) for rows in own if weight[rows].any()]
        return float(np.nanmean(by)) if np.isfinite(by).any() else float("nan")

    low, high = interval(np.array([mean(np.bincount(rng.choice(size, size), minlength=size)[people]) for _ in range(draws)]))
    return mean(np.ones(len(y))), len(y), low, high


def kept_curve(judged: grading_protocol.Judged, cfg: DictConfig) -> pd.DataFrame:
    """The agreement that is reported by the share left to a person: the one that was chosen, and others."""
    within = None if judged.labels else judged.answers.set_index("answer_id")["question_id"]
    chosen = () if cfg.target_qwk is not None else (float(cfg.max_deferred),)
    return risk_coverage(judged.grades, judged.probabilities, lambda stay: reported(judged, stay, cfg), within, (*LEFT, *chosen))


def elements(judged: grading_protocol.Judged, truth: Any, part: str) -> list[dict]:
    """Precision and recall of key elements, where it is known what each answer says."""
    present = truth.elements.set_index(["answer_id", "criterion_id", "element"])["present"]
    said = {(r.answer_id, r.criterion_id): r.missing for r in judged.by_criterion.itertuples()}
    mine = present[[(answer, criterion) in said for answer, criterion, _ in present.index]]
    found = np.array([element not in _lines(said[answer, criterion]) for answer, criterion, element in mine.index])
    there = mine.to_numpy(bool)
    units = pd.factorize(mine.index.get_level_values(0))[0]
    named = {"element_precision": (there[found], units[found]), "element_recall": (found[there], units[there])}
    records = []
    for name, (right, own) in named.items():
        rows = pd.Series(right.astype(float)).groupby(own).agg(["sum", "size"])
        rng = np.random.default_rng(0)
        drawn = [rows.iloc[rng.integers(0, len(rows), len(rows))].sum() for _ in range(200)]
        low, high = np.quantile([one["sum"] / one["size"] for one in drawn], [0.025, 0.975])
        records.append(record(name, float(right.mean()), len(right), float(low), float(high), split=part, model=judged.grader.kind))
    return records


def _lines(text: Any) -> list[str]:
    return text.split("\n") if isinstance(text, str) else []


def deceit(answers: pd.DataFrame, questions: pd.DataFrame, cfg: DictConfig) -> list[dict]:
    """Share flagged of each kind of answer that tries to deceive a grader, and of honest ones by what is usual in the other half of them."""
    half = grading_protocol.fold_of(answers.reset_index(drop=True), 2, int(cfg.seed))
    checked = {"honest answers": pd.concat([check(answers[half == k], questions, answers[half != k]) for k in (0, 1)])}
    for kind in KINDS:
        made = gamed(kind, seed=int(cfg.seed), answers=answers, questions=questions)
        checked |= {kind: check(made, questions, answers)} if len(made) else {}
    return [record("flagged", float(rows[list(KINDS)].any(axis=1).mean()), len(rows), model="answer_checks", channel=kind) for kind, rows in checked.items()]


def curve(tables: dict[str, pd.DataFrame], cfg: DictConfig) -> list[dict]:
    """Mean kappa over questions by how many graded answers of each question are learnt from, and that of two people; of the same answers, whatever the size.

    A size that is left out is told.
    """
    answers, labels = grading_protocol.scored(tables["answers"])
    answers = answers[answers["score"].notna()].reset_index(drop=True)
    test = grading_protocol.fold_of(answers, int(cfg.folds), int(cfg.seed)) == 0
    judged, pool, found = answers[test], answers[~test], []
    order = np.random.default_rng(int(cfg.seed)).permutation(len(pool))
    rank = pool.iloc[order].groupby("question_id").cumcount().reindex(pool.index)
    graded = pool.groupby("question_id").size()
    y, question = judged["score"].to_numpy(float), judged["question_id"].to_numpy()
    units = judged["learner_id" if "learner_id" in judged and judged["learner_id"].notna().all() else "answer_id"].to_numpy()
    for size in tqdm(list(cfg.curve), desc="learning curve", unit="size", leave=False, disable=None):
        if size > graded.min():
            recipe.say(f"learning curve: {size} graded left out, as {graded.idxmin()!r} has {graded.min():,} graded answers to learn from")
            continue
        if labels and not size:
            recipe.say("learning curve: 0 graded left out, as without a graded answer nobody knows which labels there are")
            continue
        train = pool[rank < size] if size else pool.iloc[:0]
        grader = instantiate(cfg.grading).fit(train.drop(columns="score") if labels and size else train, tables.get("rubrics"), tables["questions"])
        told = grader.overall(judged.drop(columns=["score", *[c for c in ("second_score", "label") if c in judged]]))
        said = told[judged["answer_id"]].to_numpy(float)
        where = {"split": "learning curve", "model": grader.kind, "channel": f"{size} graded"}
        found += [record("qwk", *mean_kappa(y, said, question, units, int(cfg.seed), int(cfg.draws)), **where),
                  record("exact_agreement", exact(y, said), len(y), *bootstrap(y, said, pd.factorize(units)[0], exact, int(cfg.seed), DRAWS), **where)]
    second = judged["second_score"].to_numpy(float) if "second_score" in judged else np.full(len(y), np.nan)
    both = np.isfinite(second)
    if found and not labels and len(pd.unique(units[both])) >= K:
        people = mean_kappa(y[both], second[both], question[both], units[both], int(cfg.seed), int(cfg.draws))
        found.append(record("human_qwk", *people, split="learning curve", channel="two people"))
    return found


def fair(job: recipe.Run, judged: grading_protocol.Judged) -> None:
    """Audit by group whether more than half of the marks are given as they were deserved."""
    answers = judged.answers.set_index("answer_id").loc[judged.probabilities.index]
    if "learner_id" not in answers or answers["learner_id"].isna().any():
        recipe.say("fairness: not audited, as the data does not tell who wrote which answer")
        return
    top = answers.groupby("question_id")["score"].transform("max").to_numpy(float) / 2
    levels = judged.probabilities.columns.to_numpy(float)
    p = (judged.probabilities.to_numpy() * (levels[None, :] > top[:, None])).sum(axis=1)
    fairness_audit.of_run(job, judged.truth.loc[answers.index].to_numpy(float) > top, np.clip(p, 0, 1), answers["learner_id"], model=judged.grader.kind,
                          split=judged.part)


def write(job: recipe.Run, parts: dict[str, tuple[grading_protocol.Judged, pd.DataFrame]]) -> None:
    """Grades of the whole answer and by criterion, which answer is in which part, the figures, and the grader."""
    frames = {name: [] for name in ("grades", "split")}
    for part, (judged, grades) in parts.items():
        both = pd.concat([grades, judged.by_criterion[judged.by_criterion["criterion_id"] != "overall"]], ignore_index=True)
        frames["grades"].append(both)
        frames["split"].append(pd.DataFrame({"answer_id": grades["answer_id"], "part": part}))
    table = validate(pd.concat(frames["grades"], ignore_index=True), "grades")
    for name, content in (("grades", table), ("split", pd.concat(frames["split"], ignore_index=True))):
        with replacing(job.folder / f"{name}.parquet") as beside:
            content.to_parquet(beside, index=False)
        job.tracked.append(f"{name}.parquet")
    gap_page.write_csv(table, job.folder / "grades.csv")
    job.figures["grades"] = "grades.csv"
    first = next(iter(parts.values()))[0]
    first.grader.save(job.folder / "model.safetensors")  # never tracked: it holds the graded answers
    curves = {part: kept_curve(judged, job.cfg) for part, (judged, _) in parts.items()}
    marks = {part: (float((~grades["deferred"]).mean()), reported(judged, ~grades["deferred"].to_numpy(bool), job.cfg)[0])
             for part, (judged, grades) in parts.items() if not grades["deferred"].all()}
    if any(len(table) for table in curves.values()):
        name = "share of equal labels" if first.labels else "quadratic weighted kappa, mean of questions"
        job.keep("risk_coverage", grading_figures.risk_coverage(curves, marks, name))
        gap_page.write_csv(pd.concat([table.assign(part=part) for part, table in curves.items()]), job.folder / "risk_coverage.csv")
        job.figures["coverage"] = "risk_coverage.csv"
    y, sure = first.truth.loc[first.grades["answer_id"]].to_numpy(float), first.grades["confidence"].to_numpy(float)
    second = first.answers.set_index("answer_id").loc[first.grades["answer_id"], "second_score"].to_numpy(float) if "second_score" in first.answers else None
    job.keep("agreement", grading_figures.agreement_matrices(y, first.grades["score"].to_numpy(float), second))
    job.keep("confidence", grading_figures.confidence_calibration((first.grades["score"].to_numpy(float) == y).astype(float), sure))
    if job.cfg.curve and not first.labels:
        job.keep("learning_curve", grading_figures.learning_curve(job.metrics))
    rows = {part: len(grades) for part, (_, grades) in parts.items()}
    job.split = {"name": first.part if len(parts) == 1 else "published", "seed": job.seed, "rows": rows, "file": "split.parquet"}


def run(cfg: DictConfig) -> RunReport:
    """Grade answers that the grader has not seen, and set beside people's scores what it gave."""
    with recipe.open_run(cfg) as job:
        tables = {name: job.data[name] for name in ("answers", "questions", "rubrics") if name in job.data.tables}
        recipe.say(f"takes about {minutes(tables, cfg)}")
        learners = job.data.tables.get("learners")
        parts = {part: (judged, kept(judged, cfg)) for part, judged in grading_protocol.judge(tables, cfg.grading, cfg).items()}
        for judged, grades in parts.values():
            job.metrics += measured(judged, grades, cfg, learners)
        first = next(iter(parts.values()))[0]
        loader = instantiate(cfg.data)
        if hasattr(loader, "truth"):
            job.metrics += elements(first, loader.truth(), first.part)
        if cfg.gaming:
            job.metrics += deceit(tables["answers"], tables["questions"], cfg)
        if cfg.curve:
            job.metrics += curve(tables, cfg)
        for line in rows_of(job.metrics, bool(first.labels)):
            recipe.say(line)
        fair(job, first)
        write(job, parts)
    return job.report


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="grade")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
