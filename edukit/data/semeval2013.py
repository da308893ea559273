"""SemEval-2013 task 7, student response analysis: short answers in science with reference answers, in two corpora and two ways of grading."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from xml.parsers import expat

import pandas as pd

from edukit.data.loader import check_variant, data_root, find_raw
from edukit.schema import DataError

ARCHIVE = "semeval-3way.zip"
CORPORA = {"scientsbank": "sciEntsBank", "beetle": "beetle"}
LABELS = {"3way": ("correct", "contradictory", "incorrect"), "2way": ("correct", "incorrect")}
PARTS = {"train": "training/{way}/{corpus}", "unseen answers": "test/{way}/{corpus}/test-unseen-answers",
         "unseen questions": "test/{way}/{corpus}/test-unseen-questions", "unseen domains": "test/{way}/{corpus}/test-unseen-domains"}


@dataclass(frozen=True)
class Semeval2013:
    """Short science answers of pupils (SciEntsBank) and of students with a tutor (Beetle), labelled against reference answers.

    Reads the published archive as it is, or the folders ``training`` and ``test`` unpacked from it. Source: Dzikovska et al., 2013, SemEval.

    Parameters
    ----------
    variant : corpus and way of grading: correct, contradictory, incorrect ('3way'), or correct, incorrect ('2way').
    path : folder with the archive or what was in it; default ``EDUKIT_DATA/semeval2013``.
    """

    name: ClassVar[str] = "semeval2013"
    variants: ClassVar[tuple[str, ...]] = ("scientsbank_3way", "scientsbank_2way", "beetle_3way", "beetle_2way")
    variant: str = "scientsbank_3way"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the archive, or with its two folders."""
        check_variant(self.name, self.variant, self.variants)
        root = data_root()
        place = Path(self.path) if self.path else root / "semeval2013" if root else None
        if place and any(self._folder(place, part).is_dir() for part in PARTS):
            return place
        return find_raw(self.name, "semeval2013", self.path, (ARCHIVE,))

    def files(self, raw_dir: Path) -> list[Path]:
        """The archive, or every file of this variant where it is unpacked."""
        if (raw_dir / ARCHIVE).is_file():
            return [raw_dir / ARCHIVE]
        return [file for part in PARTS if self._folder(raw_dir, part).is_dir() for file in sorted(self._folder(raw_dir, part).glob("*.xml"))]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables questions and answers; several reference answers of a question stand one a line."""
        asked, written = [], []
        for part in PARTS:
            for name, data in self._documents(raw_dir, part):
                self._read(f"{raw_dir}: {name}", data, part, asked, written)
        found = {row["part"] for row in written}
        if absent := [p for p in PARTS if p not in found and not (p == "unseen domains" and self.variant.startswith("beetle"))]:
            raise DataError(f"{raw_dir} must hold answers of every part of {self.variant}; found none for {', '.join(absent)} (looked in "
                            f"{', '.join(self._place(p) for p in absent)}). How to obtain the files: edukit data card {self.name}.")
        return {"questions": pd.DataFrame(asked).drop_duplicates("question_id"), "answers": pd.DataFrame(written)}

    def _place(self, part: str) -> str:
        corpus, way = self.variant.split("_")
        return PARTS[part].format(way=way, corpus=CORPORA[corpus])

    def _folder(self, raw_dir: Path, part: str) -> Path:
        return raw_dir / self._place(part)

    def _documents(self, raw_dir: Path, part: str) -> list[tuple[str, bytes]]:
        """Name and bytes of every question file of one part, in the order of their names."""
        if not (raw_dir / ARCHIVE).is_file():
            return [(str(file.relative_to(raw_dir)), file.read_bytes()) for file in sorted(self._folder(raw_dir, part).glob("*.xml"))]
        try:
            with zipfile.ZipFile(raw_dir / ARCHIVE) as archive:
                inside = sorted(n for n in archive.namelist() if n.endswith(".xml") and n.rpartition("/")[0] == self._place(part))
                return [(name, archive.read(name)) for name in inside]
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise DataError(f"{raw_dir / ARCHIVE} must be a zip archive; found {error}. Obtain it again.") from None

    def _read(self, where: str, data: bytes, part: str, asked: list[dict], written: list[dict]) -> None:
        root = parse_xml(where, data)
        question, prompt = root.get("id"), (root.findtext("questionText") or "").strip()
        answers = root.findall("studentAnswers/studentAnswer")
        labels = LABELS[self.variant.split("_")[1]]
        if not question or not prompt or not answers:
            lacks = [word for word, there in (("an id", question), ("a questionText", prompt), ("a studentAnswer", answers)) if not there]
            raise DataError(f"{where} must be a question with its answers; it lacks {', '.join(lacks)}. Obtain it again.")
        if odd := [a for a in answers if not a.get("id") or a.get("accuracy") not in labels]:
            raise DataError(f"{where} must label every answer {', '.join(labels)}; found {odd[0].get('accuracy')!r} in {len(odd):,} of {len(answers):,} "
                            f"answers (first: {odd[0].get('id')}). Is it a file of another way of grading?")
        references = [(r.text or "").strip() for r in root.findall("referenceAnswers/referenceAnswer")]
        asked.append({"question_id": question, "prompt": prompt, "reference": "\n".join(r for r in references if r) or None, "domain": root.get("module")})
        written += [{"answer_id": a.get("id"), "question_id": question, "text": (a.text or "").strip(), "label": a.get("accuracy"), "part": part}
                    for a in answers]


def parse_xml(where: str, data: bytes) -> ElementTree.Element:
    """The root element of a document without a document type, so that nothing in it can be expanded or fetched.

    Raises
    ------
    DataError
        For a document that declares a type or an entity, or that is not well formed.
    """
    def refuse(name: str, *rest: object) -> None:
        raise DataError(f"{where} must not declare a document type (found DOCTYPE {name}): such a file could expand without end or fetch others. "
                        "The published files declare none: obtain it again.")

    watch = expat.ParserCreate()
    watch.StartDoctypeDeclHandler = refuse  # called before any entity is read
    try:
        watch.Parse(data, True)
        return ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError) as error:
        raise DataError(f"{where} must be well-formed XML; found {error}. The file may be truncated: obtain it again.") from None
