"""ASSISTments 2009-2010 skill builder (Feng, Heffernan and Koedinger, 2009, UMUAI) in the three forms that circulate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from edukit.data.loader import check_variant, find_raw
from edukit.formats.delimited import need, read_text_table
from edukit.formats.sequence_files import first_of_response
from edukit.schema import DataError

_LPP = ("preprocessed_data_train.csv", "preprocessed_data_test.csv", "q_mat.npz")
_AKT = (*(f"assist2009_pid_test{fold}.csv" for fold in range(1, 6)), "skill.json")


@dataclass(frozen=True)
class Assistments2009:
    """Mathematics practice of US pupils, ASSISTments 2009-2010: skill builders in the three forms that circulate, one row per response.

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
            need(raw_dir / file, parts[part], ("user_id", "item_id", "correct"))
        log = pd.concat(parts.values(), ignore_index=True)
        try:
            with (raw_dir / _LPP[2]).open("rb") as stream:
                matrix = load_npz(stream).tocoo()
        except Exception as error:  # a zip may fail in many ways; all of them mean the file is not what it should be
            raise DataError(f"{raw_dir / _LPP[2]} must be a sparse item x concept matrix; found {error}. Obtain it again.") from None
        q = pd.DataFrame({"item_id": matrix.row, "concept_id": matrix.col}).sort_values(["item_id", "concept_id"])
        interactions = pd.DataFrame({"learner_id": log["user_id"], "item_id": log["item_id"], "correct": log["correct"],
                                     "order": log.groupby("user_id").cumcount()})
        learners = pd.concat([pd.DataFrame({"learner_id": rows["user_id"].unique(), "published_part": part}) for part, rows in parts.items()])
        return {"interactions": interactions, "q_matrix": q, "concepts": _numbered(q["concept_id"]), "learners": learners}

    def _akt(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        log = pd.concat([four_lines(raw_dir / file) for file in _AKT[:5]], ignore_index=True)
        kept = log.loc[first_of_response(log), ["learner_id", "item_id", "correct"]]
        kept = kept.assign(order=kept.groupby("learner_id", sort=False).cumcount())
        q = log[["item_id", "concept_id"]].drop_duplicates()
        names = _skills(raw_dir / "skill.json")
        return {"interactions": kept, "q_matrix": q, "concepts": names[names["concept_id"].isin(q["concept_id"].unique())]}

    def _raw(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        path = raw_dir / self.file
        log = read_text_table(path, encodings=("utf-8-sig", "latin-1"), low_memory=False)
        log.columns = [c.removeprefix("ï»¿") for c in log.columns]
        need(path, log, ("order_id", "user_id", "problem_id", "original", "correct", "skill_id", "skill_name"))
        if not self.scaffolds:
            log = log[log["original"] == 1]
        log = log.sort_values(["user_id", "order_id"], kind="stable")
        skill = (log["skill_id"].astype("Int64") if pd.api.types.is_numeric_dtype(log["skill_id"]) else log["skill_id"]).astype("str")
        skill = skill.mask(log["skill_id"].isna(), "unnamed")
        q = pd.DataFrame({"item_id": log["problem_id"], "concept_id": skill.str.split("_")}).explode("concept_id").drop_duplicates()
        tagged = q.groupby("item_id")["concept_id"].transform("nunique") > 1
        q = q[~((q["concept_id"] == "unnamed") & tagged)]
        named = pd.DataFrame({"concept_id": skill, "name": log["skill_name"]}).dropna().drop_duplicates("concept_id").set_index("concept_id")["name"]
        concepts = pd.DataFrame({"concept_id": sorted(q["concept_id"].unique())})
        once = log.drop_duplicates("order_id")
        optional = {"hint_count": "hints", "student_class_id": "class_id", "teacher_id": "teacher_id", "sequence_id": "content_id"}
        table = pd.DataFrame({"learner_id": once["user_id"], "item_id": once["problem_id"], "correct": once["correct"],
                              "order": once.groupby("user_id").cumcount(),
                              **{new: once[old] for old, new in optional.items() if old in once}})
        if "ms_first_response" in once:
            table["response_time_s"] = once["ms_first_response"].clip(lower=0) / 1000
        if "answer_text" in once:
            table["response"] = once["answer_text"]
        return {"interactions": table, "q_matrix": q,
                "concepts": concepts.assign(name=concepts["concept_id"].map(named.astype("str")).astype("str").fillna(concepts["concept_id"]))}


def four_lines(path: Path) -> pd.DataFrame:
    """Rows (learner_id, item_id, concept_id, correct) of a file of lines in groups of four: learner, questions, concepts, answers."""
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # it makes its functions when it is imported, unseen by type checkers

    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be encoded as utf-8; found byte 0x{error.object[error.start]:02x} at position {error.start:,}. "
                        "Obtain it again.") from None
    if len(lines) < 4 or len(lines) % 4:
        raise DataError(f"{path} must hold lines in groups of four (learner, questions, concepts, answers); found {len(lines):,} "
                        "lines. The file may be truncated: obtain it again.")
    cells = [pc.split_pattern(pc.utf8_trim(pa.array(lines[part::4]), ", \r"), ",") for part in range(4)]
    length = np.stack([pc.list_value_length(column).to_numpy() for column in cells[1:]])
    if (uneven := (length != length[0]).any(axis=0)).any():
        first = int(np.argmax(uneven))
        raise DataError(f"{path} must give a learner as many concepts and answers as questions; found {', '.join(map(str, length[:, first]))} "
                        f"(first: line {4 * first + 1:,}). The file may be truncated: obtain it again.")
    who = pd.Series(pc.list_element(cells[0], 0), dtype="str")
    return pd.DataFrame({"learner_id": who.repeat(length[0]).reset_index(drop=True),
                         **{name: pd.Series(pc.list_flatten(column), dtype="str")
                            for name, column in zip(("item_id", "concept_id", "correct"), cells[1:], strict=True)}})


def _skills(path: Path) -> pd.DataFrame:
    """Table ``concepts`` of a JSON object that numbers the names."""
    try:
        numbers = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} must be a JSON object of concept names and numbers; found {error}. Obtain it again.") from None
    return pd.DataFrame({"concept_id": [str(number) for number in numbers.values()], "name": list(numbers)})


def _numbered(concept_id: pd.Series) -> pd.DataFrame:
    """A concepts table for a source that gives numbers and no names."""
    ids = sorted(concept_id.unique())
    return pd.DataFrame({"concept_id": ids, "name": [f"concept {i}" for i in ids]})
