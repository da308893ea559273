"""ASSISTments 2009-2010 skill builder (Feng, Heffernan and Koedinger, 2009, UMUAI) in the three forms that circulate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data.loader import check_variant, find_raw
from edukit.formats.delimited import read_text_table
from edukit.schema import DataError

_LPP = ("preprocessed_data_train.csv", "preprocessed_data_test.csv", "q_mat.npz")
_AKT = (*(f"assist2009_pid_test{fold}.csv" for fold in range(1, 6)), "skill.json", "problems.json", "user.json")


@dataclass(frozen=True)
class Assistments2009:
    """One row per response, whatever the form; a response with several concepts stays one row.

    Parameters
    ----------
    variant : which form.
        'lpp' : one row per response, parted by learner into train and test (Gervet et al., 2020, JEDM);
        'akt' : question and concept sequences in lines of four (Ghosh et al., 2020, KDD), where a response to a
        question with several concepts was repeated once per concept: these are folded together again;
        'raw' : the publisher's 30 columns, one row per response and skill, folded by ``order_id``.
    path : folder with the files; default ``EDUKIT_DATA/assistments2009/lpp`` (or ``/akt``; for raw the folder itself).
    file : the csv of the raw form.
    scaffolds : keep scaffolding questions of the raw form (``original`` = 0).
    """

    name: ClassVar[str] = "assistments2009"
    variants: ClassVar[tuple[str, ...]] = ("lpp", "akt", "raw")
    variant: str = "lpp"
    path: str | None = None
    file: str = "skill_builder_data.csv"
    scaffolds: bool = False

    def raw_dir(self) -> Path:
        """Folder with the publisher's files."""
        places = {"lpp": ("assistments2009/lpp", _LPP), "akt": ("assistments2009/akt", _AKT), "raw": ("assistments2009", (self.file,))}
        check_variant(self.name, self.variant, self.variants)
        return find_raw(self.name, places[self.variant][0], self.path, places[self.variant][1])

    def files(self, raw_dir: Path) -> list[Path]:
        """The files of this variant."""
        return [raw_dir / file for file in {"lpp": _LPP, "akt": _AKT, "raw": (self.file,)}[self.variant]]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, concepts, q_matrix, learners (with the publisher's part where there is one)."""
        return {"lpp": self._lpp, "akt": self._akt, "raw": self._raw}[self.variant](raw_dir)

    def _lpp(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        from scipy.sparse import load_npz

        parts = {}
        for part, file in (("train", _LPP[0]), ("test", _LPP[1])):
            parts[part] = read_text_table(raw_dir / file, sep="\t")
            if absent := [c for c in ("user_id", "item_id", "correct") if c not in parts[part]]:
                raise DataError(f"{raw_dir / file} must have the columns {', '.join(absent)}; found {', '.join(parts[part].columns)}.")
        log = pd.concat(parts.values(), ignore_index=True)
        try:
            matrix = load_npz(raw_dir / _LPP[2]).tocoo()
        except Exception as error:  # a zip may fail in many ways; all of them mean the file is not what it should be
            raise DataError(f"{raw_dir / _LPP[2]} must be a sparse item x concept matrix; found {error}. Obtain it again.") from None
        q = pd.DataFrame({"item_id": matrix.row, "concept_id": matrix.col}).sort_values(["item_id", "concept_id"])
        interactions = pd.DataFrame({"learner_id": log["user_id"], "item_id": log["item_id"], "correct": log["correct"],
                                     "order": log.groupby("user_id").cumcount()})
        learners = pd.concat([pd.DataFrame({"learner_id": rows["user_id"].unique(), "published_part": part}) for part, rows in parts.items()])
        return {"interactions": interactions, "q_matrix": q, "concepts": _numbered(q["concept_id"]), "learners": learners}

    def _akt(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        frames = []
        for file in _AKT[:5]:
            lines = [line.rstrip("\r") for line in (raw_dir / file).read_text(encoding="utf-8-sig").split("\n")]
            while lines and not lines[-1].strip():
                lines.pop()
            if not lines or len(lines) % 4:
                raise DataError(f"{raw_dir / file} must hold lines in groups of four (learner, questions, concepts, answers); found {len(lines):,} "
                                "lines. The file may be truncated: obtain it again.")
            for at in range(0, len(lines), 4):
                columns = [[v for v in line.split(",") if v] for line in lines[at + 1:at + 4]]
                if len({len(c) for c in columns}) != 1:
                    raise DataError(f"{raw_dir / file} must give a learner as many concepts and answers as questions; found "
                                    f"{', '.join(str(len(c)) for c in columns)} (first: line {at + 1:,}). The file may be truncated: obtain it again.")
                frames.append((lines[at].split(",")[0], *columns))
        length = [len(f[1]) for f in frames]
        log = pd.DataFrame({"learner_id": np.repeat([f[0] for f in frames], length),
                            **{c: np.concatenate([f[i] for f in frames]) for i, c in ((1, "item_id"), (2, "concept_id"), (3, "correct"))}})
        concepts = json.loads((raw_dir / "skill.json").read_text(encoding="utf-8"))
        q = log[["item_id", "concept_id"]].drop_duplicates()
        same = (log[["learner_id", "item_id", "correct"]] == log[["learner_id", "item_id", "correct"]].shift()).all(axis=1)
        together = (~same).cumsum()  # rows in a row that differ in nothing but the concept; a concept met again begins another response
        response = log.groupby([together, "concept_id"]).cumcount()
        kept = log.loc[~pd.DataFrame({"run": together, "response": response}).duplicated(), ["learner_id", "item_id", "correct"]]
        named = pd.DataFrame({"concept_id": [str(k) for k in concepts.values()], "name": list(concepts)})
        return {"interactions": kept.assign(order=kept.groupby("learner_id").cumcount()), "q_matrix": q,
                "concepts": named[named["concept_id"].isin(q["concept_id"])]}

    def _raw(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        path = raw_dir / self.file
        log = read_text_table(path, encodings=("utf-8-sig", "latin-1"), low_memory=False)
        log.columns = [c.removeprefix("ï»¿") for c in log.columns]
        wanted = ["order_id", "user_id", "problem_id", "original", "correct", "skill_id", "skill_name"]
        if absent := [c for c in wanted if c not in log]:
            raise DataError(f"{path} must have the columns {', '.join(absent)}; found {', '.join(log.columns)}.")
        if not self.scaffolds:
            log = log[log["original"] == 1]
        log = log.sort_values(["user_id", "order_id"], kind="stable")
        skill = log["skill_id"].astype("Int64").astype("str").mask(log["skill_id"].isna(), "unnamed")
        q = pd.DataFrame({"item_id": log["problem_id"], "concept_id": skill}).drop_duplicates()
        tagged = q.groupby("item_id")["concept_id"].transform("nunique") > 1
        q = q[~((q["concept_id"] == "unnamed") & tagged)]
        names = pd.DataFrame({"concept_id": skill, "name": log["skill_name"]}).sort_values("name", na_position="last").drop_duplicates("concept_id")
        once = log.drop_duplicates("order_id")
        optional = {"hint_count": "hints", "student_class_id": "class_id", "teacher_id": "teacher_id", "sequence_id": "content_id"}
        table = pd.DataFrame({"learner_id": once["user_id"], "item_id": once["problem_id"], "correct": once["correct"],
                              "order": once.groupby("user_id").cumcount(),
                              **{new: once[old] for old, new in optional.items() if old in once}})
        if "ms_first_response" in once:
            table["response_time_s"] = once["ms_first_response"].clip(lower=0) / 1000
        if "answer_text" in once:
            table["response"] = once["answer_text"]
        return {"interactions": table, "q_matrix": q, "concepts": names.assign(name=names["name"].fillna(names["concept_id"]))}


def _numbered(concept_id: pd.Series) -> pd.DataFrame:
    """A concepts table for a source that gives numbers and no names."""
    ids = sorted(concept_id.unique())
    return pd.DataFrame({"concept_id": ids, "name": [f"concept {i}" for i in ids]})
