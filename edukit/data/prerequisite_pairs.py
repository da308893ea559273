"""Pairs of concepts that people judged: does one require the other? Three published sets, all with the direction made the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data.loader import check_variant, find_raw
from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError

PAIR = ["concept_id", "requires_id"]
DOMAINS = ("data_mining", "geometry", "precalculus")
FEATURES = (  # of AL-CPL, in the publisher's order; `concept` is the first of a pair, `requires` the candidate prerequisite
    "outlinks_concept", "outlinks_requires", "inlinks_concept", "inlinks_requires", "categories_concept", "categories_requires",
    "common_neighbours", "common_categories", "links_concept_to_requires", "links_requires_to_concept", "refd",
    "concept_in_first_sentence_of_requires", "requires_in_first_sentence_of_concept", "requires_in_title_of_concept",
    "normalised_google_distance", "shared_inlinks_of_concept", "shared_inlinks_of_requires", "wiki2vec_similarity",
    "first_paragraph_words_similarity", "first_paragraph_vector_similarity", "title_jaccard", "pmi", "lda_entropy_concept", "lda_entropy_requires",
    "lda_cross_entropy_concept_requires", "lda_cross_entropy_requires_concept", "words_concept", "words_requires",
    "mentions_of_requires_in_concept", "mentions_of_concept_in_requires", "share_of_requires_in_concept", "share_of_concept_in_requires",
    "noun_phrases_concept", "noun_phrases_requires", "common_noun_phrases", "hub_difference", "authority_difference", "pagerank_difference",
)
UCD_FILES = ("cs_annotations.tsv", "cs_preqs.csv", "cs_courses.csv", "cs_edges.csv")
CD_FILES = ("CV.annotation.csv", "CV.topics.tsv")


def _columns(path: Path, names: list[str], sep: str = ",") -> pd.DataFrame:
    """A file without header that must hold exactly these columns, every cell filled, all as text."""
    table = read_text_table(path, sep=sep, header=None, dtype="str", keep_default_na=False)
    if table.shape[1] != len(names):
        raise DataError(f"{path} must hold {len(names)} columns ({', '.join(names)}); found {table.shape[1]}. Is it the file that the card names?")
    table.columns = names
    hollow = (table.isna() | (table == "")).any(axis=1).to_numpy()
    if hollow.any():
        raise DataError(f"{path} must fill its {len(names)} columns ({', '.join(names)}) in every line; found a gap in {int(hollow.sum()):,} of "
                        f"{len(table):,} lines (first: line {int(np.flatnonzero(hollow)[0]) + 1:,}). The file may be truncated: obtain it again.")
    return table


def _numbered(path: Path, names: tuple[str, ...]) -> tuple[np.ndarray, pd.DataFrame]:
    """Label and features of a file in svmlight's form in which no feature is left out: `1 0:2.5 1:0 ...`."""
    table = _columns(path, ["label", *names], sep=" ")
    parts = {name: table[name].str.split(":", n=1, expand=True).reindex(columns=[0, 1]) for name in names}
    values = pd.DataFrame({name: pd.to_numeric(part[1], errors="coerce") for name, part in parts.items()}, dtype="float64")
    good = table["label"].isin(["0", "1"]) & values.notna().all(axis=1)
    for number, part in enumerate(parts.values()):
        good &= part[0] == str(number)
    wrong = np.flatnonzero(~good)
    if len(wrong):
        raise DataError(f"{path} must hold 0 or 1 and the features 0:VALUE to {len(names) - 1}:VALUE in every line; found another form in {len(wrong):,} of "
                        f"{len(table):,} lines (first: line {wrong[0] + 1:,}). The file may be truncated: obtain it again.")
    return table["label"].to_numpy(dtype="float64"), values


def _spoken(ids: pd.Series) -> pd.Series:
    """A title of Wikipedia as people would write it."""
    return ids.str.replace("_", " ")


def votes(path: Path) -> pd.DataFrame:
    """What the annotators of UCD said of each candidate pair.

    Returns
    -------
    DataFrame
        One row a pair in the publisher's order: ``concept_id, requires_id``, the number of votes ``yes`` (the second is a prerequisite of the
        first), ``reversed`` (the other way round) and ``none``, and the ``majority`` of at least two (missing where there is none).
        The undocumented code 4 is no vote.
    """
    table = read_text_table(path, sep="\t", keep_default_na=False, dtype="str")
    need(path, table, ["Concept_A", "Concept_B"])
    codes = table.drop(columns=["Concept_A", "Concept_B"])
    codes = codes.where(codes.notna(), "")
    strange = ~codes.isin(["", "1", "2", "3", "4"])
    if strange.any(axis=None):
        row = int(np.flatnonzero(strange.any(axis=1))[0])
        raise DataError(f"{path} must hold the votes 1, 2, 3 or 4, or nothing; found {codes.iloc[row][strange.iloc[row]].iloc[0]!r} "
                        f"in {int(strange.any(axis=1).sum()):,} of {len(table):,} rows (first: row {row + 1:,}).")
    count = {name: (codes == code).sum(axis=1) for name, code in (("yes", "1"), ("reversed", "2"), ("none", "3"))}
    majority = pd.Series(pd.NA, index=table.index, dtype="object")
    for name, said in count.items():
        majority = majority.mask(said >= 2, name)
    return pd.DataFrame({"concept_id": table["Concept_A"], "requires_id": table["Concept_B"], **count, "majority": majority})


def _mirrored(judged: pd.DataFrame) -> pd.DataFrame:
    """The same votes, said of the pair in the other order."""
    other = {"yes": "reversed", "reversed": "yes"}
    turned = judged.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id", **other})
    return turned.assign(majority=judged["majority"].replace(other))[judged.columns]


@dataclass(frozen=True)
class Ucd:
    """University courses in computer science: concept pairs judged by 13 annotators, course texts and course prerequisites.

    Positives are the publisher's list. Negatives are each positive the other way round, and, in both orders, every pair that the annotators
    judged to be no prerequisite and never judged otherwise. Pairs without a majority, or with one that the list does not take up, are left out,
    and so are concepts without any positive pair.

    Source: Liang, Ye, Wu, Pursel and Giles, 2017, AAAI (EAAI).

    Parameters
    ----------
    path : folder with the four files; default ``EDUKIT_DATA/prerequisites/ucd``.
    """

    name: ClassVar[str] = "ucd"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the publisher's files."""
        return find_raw(self.name, "prerequisites/ucd", self.path, UCD_FILES)

    def files(self, raw_dir: Path) -> list[Path]:
        """Annotations, prerequisites, courses and course prerequisites."""
        return [raw_dir / file for file in UCD_FILES]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables concepts, concept_pairs, prerequisites, documents, document_links."""
        judged = votes(raw_dir / UCD_FILES[0])
        listed = _columns(raw_dir / UCD_FILES[1], PAIR).drop_duplicates()
        courses = _columns(raw_dir / UCD_FILES[2], ["document_id", "text"])
        links = _columns(raw_dir / UCD_FILES[3], ["document_id", "requires_id"])
        ids = pd.Series(sorted({*listed["concept_id"], *listed["requires_id"]}))
        pairs = self._pairs(judged, listed, ids)
        agreed = listed.merge(pairs[[*PAIR, "agreement"]], how="left", on=PAIR)
        return {
            "concepts": pd.DataFrame({"concept_id": ids, "name": _spoken(ids)}),
            "concept_pairs": pairs,
            "prerequisites": agreed.assign(source="UCD annotators", weight=1.0, channel="expert"),
            "documents": courses.assign(title=courses["text"].str.split(". ", n=1, regex=False).str[0], level=_levels(courses["document_id"])),
            "document_links": links.assign(type="requires"),
        }

    def _pairs(self, judged: pd.DataFrame, listed: pd.DataFrame, ids: pd.Series) -> pd.DataFrame:
        asked = pd.concat([judged.assign(origin="annotated"), _mirrored(judged).assign(origin="reversed")], ignore_index=True)
        unordered = pd.Series([*map(frozenset, zip(asked["concept_id"], asked["requires_id"], strict=True))], index=asked.index)
        decided = {*map(frozenset, listed.itertuples(index=False, name=None))}
        verdicts = asked["majority"].groupby(unordered).agg(lambda said: {*said.dropna()})
        none = unordered.map(verdicts == {"none"}) & ~unordered.isin(decided)
        known = asked["concept_id"].isin(ids) & asked["requires_id"].isin(ids)
        # where both orders were put to the annotators, each order keeps its own votes
        kept = asked[known & (unordered.isin(decided) | none)].drop_duplicates(PAIR)
        label = kept.merge(listed.assign(label=1), how="left", on=PAIR)["label"].fillna(0).to_numpy()
        cast = kept[["yes", "reversed", "none"]].sum(axis=1)
        return pd.DataFrame({**{c: kept[c] for c in PAIR}, "label": label, "origin": kept["origin"], "votes": cast,
                             "agreement": np.where(label == 1, kept["yes"], cast - kept["yes"]) / cast})


def _levels(document_id: pd.Series) -> pd.Series:
    """First digit of the course number (0 below 100): an order within one university. The numbers of MIT say nothing about it."""
    number = document_id.str.split(",").str[0].str.extract(r"(\d+)\D*$")[0]
    return number.str[0].where(number.str.len() > 2, "0").astype("float64").mask(number.isna() | document_id.str.startswith("mit_"))


@dataclass(frozen=True)
class Alcpl:
    """Textbook concepts of data mining, geometry and precalculus: pairs with labels corrected by experts, and 38 numbers from Wikipedia.

    The labels are closed under transitivity, and every positive is also there the other way round as a negative. A concept may belong to two
    domains; each pair says which domain it was judged in.

    Source: Liang, Ye, Wang, Pursel and Giles, 2018, AAAI (EAAI).

    Parameters
    ----------
    variant : 'all' or one of the domains.
    path : folder with the files; default ``EDUKIT_DATA/prerequisites/alcpl``.
    """

    name: ClassVar[str] = "alcpl"
    variants: ClassVar[tuple[str, ...]] = ("all", *DOMAINS)
    variant: str = "all"
    path: str | None = None

    def _domains(self) -> tuple[str, ...]:
        check_variant(self.name, self.variant, self.variants)
        return DOMAINS if self.variant == "all" else (self.variant,)

    def raw_dir(self) -> Path:
        """Folder with the publisher's files."""
        needed = tuple(f"{domain}.{end}" for domain in self._domains() for end in ("pairs", "preqs", "features"))
        return find_raw(self.name, "prerequisites/alcpl", self.path, needed)

    def files(self, raw_dir: Path) -> list[Path]:
        """Pairs, positive pairs and features of each domain."""
        return [raw_dir / f"{domain}.{end}" for domain in self._domains() for end in ("pairs", "preqs", "features")]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables concepts, concept_pairs, pair_features, prerequisites."""
        parts = [self._domain(raw_dir, domain) for domain in self._domains()]
        pairs, features = (pd.concat([part[i] for part in parts], ignore_index=True) for i in (0, 1))
        ends = pd.concat([pairs[["domain", c]].set_axis(["domain", "concept_id"], axis=1) for c in PAIR]).drop_duplicates()
        areas = ends.sort_values(["concept_id", "domain"]).groupby("concept_id")["domain"].agg(", ".join).reset_index()
        positive = pairs[pairs["label"] == 1]
        return {
            "concepts": pd.DataFrame({"concept_id": areas["concept_id"], "name": _spoken(areas["concept_id"]), "area": _spoken(areas["domain"])}),
            "concept_pairs": pairs, "pair_features": features,
            "prerequisites": positive[PAIR].assign(source="AL-CPL experts, " + _spoken(positive["domain"]), weight=1.0, channel="expert"),
        }

    def _domain(self, raw_dir: Path, domain: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        path = raw_dir / f"{domain}.features"
        pairs = _columns(raw_dir / f"{domain}.pairs", PAIR).assign(domain=domain)
        listed = _columns(raw_dir / f"{domain}.preqs", PAIR)
        label, features = _numbered(path, FEATURES)
        if len(label) != len(pairs):
            raise DataError(f"{path} must hold one line for each of the {len(pairs):,} pairs of {domain}.pairs; found {len(label):,}. "
                            "The file may be truncated: obtain it again.")
        said = pairs.merge(listed.assign(listed=1.0), how="left", on=PAIR)["listed"].fillna(0).to_numpy()
        wrong = np.flatnonzero(said != label)
        if len(wrong):
            raise DataError(f"{path} must give label 1 to the pairs of {domain}.preqs and 0 to the others; found another label in {len(wrong):,} of "
                            f"{len(pairs):,} lines (first: line {wrong[0] + 1:,}). Do the files belong together?")
        return pairs.assign(label=label, origin="annotated"), pd.concat([pairs, features], axis=1)


@dataclass(frozen=True)
class LecturebankCd:
    """Topics of computer vision lectures: pairs judged by annotators, topic names only.

    Source: Li, Yan, Li, Qu and Radev, 2021, ACL.

    Parameters
    ----------
    path : folder with the two files; default ``EDUKIT_DATA/prerequisites/lecturebank_cd``.
    """

    name: ClassVar[str] = "lecturebank_cd"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the publisher's files."""
        return find_raw(self.name, "prerequisites/lecturebank_cd", self.path, CD_FILES)

    def files(self, raw_dir: Path) -> list[Path]:
        """Annotations and topics."""
        return [raw_dir / file for file in CD_FILES]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables concepts, concept_pairs, prerequisites. In the file the first topic is the prerequisite of the second."""
        pairs = _columns(raw_dir / CD_FILES[0], ["requires_id", "concept_id", "label"]).assign(origin="annotated")
        topics = _columns(raw_dir / CD_FILES[1], ["concept_id", "name"], sep="\t")
        positive = pairs[pairs["label"] == "1"]
        return {"concepts": topics.assign(name=topics["name"].str.strip()), "concept_pairs": pairs,
                "prerequisites": positive[PAIR].assign(source="LectureBankCD annotators", weight=1.0, channel="expert")}
