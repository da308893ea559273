"""Splits put every row into one part, hold out whole units, and do not depend on what ids are called; pairs of concepts stay whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edukit import splits
from edukit.schema import DataError


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    learner = np.repeat(np.arange(100), rng.integers(1, 30, 100))
    return pd.DataFrame(
        {
            "learner_id": [f"l{i}" for i in learner],
            "item_id": [f"q{i}" for i in rng.integers(0, 20, len(learner))],
            "class_id": [f"c{i % 10}" for i in learner],
            "correct": rng.integers(0, 2, len(learner)),
            "timestamp": pd.date_range("2025-01-01", periods=len(learner), freq="h", tz="UTC"),
            "order": pd.Series(range(len(learner)), dtype="Int64"),
        }
    )


@pytest.mark.parametrize(
    ("maker", "column", "size"), [(splits.by_learner, "learner_id", 20), (splits.by_class, "class_id", 2), (splits.by_cold_item, "item_id", 4)]
)
def test_whole_units_are_held_out_and_sizes_are_as_asked(log, maker, column, size):
    split = maker(log, seed=3)
    train, test = split.part(log, "train"), split.part(log, "test")
    assert not set(train[column]) & set(test[column]) and len(train) + len(test) == len(log)
    assert test[column].nunique() == size


def test_valid_and_test_sizes_are_not_swapped(log):
    split = splits.by_learner(log, seed=0, test=0.3, valid=0.1)
    assert split.part(log, "valid")["learner_id"].nunique() == 10 and split.part(log, "test")["learner_id"].nunique() == 30


def test_renaming_learners_changes_nothing(log):
    renamed = log.assign(learner_id=log["learner_id"].map({v: f"z{hash(v) % 10**9}-{i}" for i, v in enumerate(log["learner_id"].unique())}))
    assert splits.by_learner(log, seed=1).fingerprint == splits.by_learner(renamed, seed=1).fingerprint
    assert splits.cells(log, seed=1).fingerprint == splits.cells(renamed, seed=1).fingerprint


def test_another_seed_gives_another_split(log):
    assert splits.by_learner(log, seed=1).fingerprint != splits.by_learner(log, seed=2).fingerprint


def test_cells_hold_out_a_fifth_of_each_learner_and_leave_something(log):
    split = splits.cells(log, seed=0)
    train, test = split.part(log, "train"), split.part(log, "test")
    assert set(test["learner_id"]) <= set(train["learner_id"])
    assert abs(len(test) / len(log) - 0.2) < 0.02


def test_time_split_trains_on_the_past_only(log):
    split = splits.by_time(log)
    assert split.part(log, "train")["timestamp"].max() < split.part(log, "test")["timestamp"].min()


def test_what_cannot_be_split_is_refused(log):
    with pytest.raises(DataError, match="class_id"):
        splits.by_class(log.drop(columns="class_id"))
    with pytest.raises(DataError, match="found none in test"):
        splits.by_learner(log[log["learner_id"] == "l1"])
    with pytest.raises(DataError, match="no part valid"):
        splits.by_learner(log).part(log, "valid")


def test_ids_of_each_part_are_saved(log, tmp_path):
    split = splits.by_learner(log, seed=0)
    saved = pd.read_parquet(split.save(tmp_path / "split.parquet", log))
    assert set(saved.loc[saved["part"] == "test", "learner_id"]) == set(split.part(log, "test")["learner_id"])


def test_ids_of_single_rows_are_saved_beside_their_positions(log, tmp_path):
    split = splits.cells(log, seed=0)
    saved = pd.read_parquet(split.save(tmp_path / "cells.parquet", log))
    assert list(saved) == ["part", "learner_id", "item_id", "order", "row"] and len(saved) == len(log)
    again = log.iloc[saved["row"]].reset_index(drop=True)
    assert (again["learner_id"] == saved["learner_id"]).all() and (again["order"] == saved["order"]).all()


def test_sizes_are_asserted_by_name(log):
    split = splits.by_learner(log, seed=3)
    assert split.expect(split.sizes()) is split
    with pytest.raises(DataError) as error:
        split.expect({"train": 1, "valid": 5})
    for words in ("train must have 1 rows; found", "valid must be a part; found train, test", "no part test was expected", "seed 3"):
        assert words in str(error.value)


# ---- pairs of concepts -----------------------------------------------------------------------------------

MAKERS = {"random_leaky": splits.pairs_random, "grouped": splits.pairs_grouped, "inductive": splits.pairs_inductive}


def pairs_table(edges: list[tuple[int, int, int]]) -> pd.DataFrame:
    table = pd.DataFrame(edges, columns=["concept_id", "requires_id", "domain"])
    named = table.assign(concept_id="c" + table["concept_id"].astype(str), requires_id="c" + table["requires_id"].astype(str),
                         domain="d" + table["domain"].astype(str), label=0.0)
    return named[named["concept_id"] != named["requires_id"]].drop_duplicates().reset_index(drop=True)


@st.composite
def judged(draw) -> pd.DataFrame:
    """Pairs of up to 14 concepts in two domains, many of them with their reverse."""
    concept = st.integers(0, draw(st.integers(5, 13)))
    edges = draw(st.lists(st.tuples(concept, concept, st.integers(0, 1)), min_size=20, max_size=120))
    back = draw(st.lists(st.sampled_from(edges), max_size=40))
    return pairs_table(edges + [(b, a, d) for a, b, d in back])


def split_or_skip(name: str, pairs: pd.DataFrame, **options) -> splits.Split:
    """The split; where chance leaves a part empty, which is refused by name, hypothesis tries other pairs."""
    try:
        return MAKERS[name](pairs, **options)
    except DataError as error:
        assume("must leave rows in every part" not in str(error))
        raise


def unordered(pairs: pd.DataFrame) -> set[frozenset[str]]:
    return {*map(frozenset, zip(pairs["concept_id"], pairs["requires_id"], strict=True))}


def ends(pairs: pd.DataFrame) -> set[str]:
    return {*pairs["concept_id"], *pairs["requires_id"]}


@settings(max_examples=25, deadline=None)
@given(judged(), st.integers(0, 4), st.integers(0, 3), st.sampled_from([0.0, 0.25]))
def test_no_pair_and_no_reverse_is_in_two_parts(pairs, seed, fold, valid):
    for name in ("grouped", "inductive"):
        split = split_or_skip(name, pairs, seed=seed, folds=4, fold=fold, valid=valid)
        parts = {part: split.part(pairs, part) for part in split.rows}
        assert sum(map(len, parts.values())) == len(pairs)
        for one in parts:
            assert all(one == other or not unordered(parts[one]) & unordered(parts[other]) for other in parts)


@settings(max_examples=25, deadline=None)
@given(judged(), st.integers(0, 4), st.sampled_from([0.0, 0.25]))
def test_unseen_concepts_are_in_no_training_pair(pairs, seed, valid):
    split = split_or_skip("inductive", pairs, seed=seed, folds=4, valid=valid)
    seen = ends(split.part(pairs, "train"))
    for part, unseen in (("test", 1), ("inductive_both", 2)):
        rows = split.part(pairs, part)
        assert ((~rows["concept_id"].isin(seen)).astype(int) + ~rows["requires_id"].isin(seen) == unseen).all()
    if valid:
        rows = split.part(pairs, "valid")
        assert not (rows["concept_id"].isin(seen) & rows["requires_id"].isin(seen)).any()


@settings(max_examples=20, deadline=None)
@given(judged(), st.sampled_from(sorted(MAKERS)), st.integers(0, 4), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_and_a_seed_repeats(pairs, name, seed, random):
    split = split_or_skip(name, pairs, seed=seed)
    positions = [*range(len(pairs))]
    random.shuffle(positions)
    mixed = pairs.iloc[positions]
    other = MAKERS[name](mixed, seed=seed)
    ids = ["concept_id", "requires_id", "domain"]
    for part in split.rows:
        assert {*split.part(pairs, part)[ids].itertuples(index=False, name=None)} == {*other.part(mixed, part)[ids].itertuples(index=False, name=None)}
    assert split.fingerprint == MAKERS[name](pairs, seed=seed).fingerprint and split.sizes() == other.sizes()


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pairs_table([tuple(row) for row in np.column_stack([rng.integers(0, 40, (600, 2)), np.zeros(600, int)])])
    back = table.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id"})
    return pd.concat([table, back[table.columns]]).drop_duplicates(["concept_id", "requires_id"], ignore_index=True)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_folds_test_every_pair_and_seeds_differ(pairs, name):
    folds = [MAKERS[name](pairs, seed=1, folds=5, fold=fold) for fold in range(5)]
    tested = [np.concatenate([rows for part, rows in split.rows.items() if part in ("test", "inductive_both")]) for split in folds]
    assert set(np.concatenate(tested)) == set(range(len(pairs))) and folds[0].name == name
    if name != "inductive":
        assert sum(map(len, tested)) == len(pairs)
    assert MAKERS[name](pairs, seed=2).fingerprint != folds[0].fingerprint != folds[1].fingerprint


def test_random_rows_leak_and_say_so(pairs):
    split = splits.pairs_random(pairs, seed=0, valid=0.1)
    assert set(split.rows) == {"train", "valid", "test"} and split.name == "random_leaky"
    assert unordered(split.part(pairs, "train")) & unordered(split.part(pairs, "test"))
    assert split.sizes()["valid"] == round(0.1 * 0.8 * len(pairs))


def test_a_domain_is_left_out_with_the_pairs_it_shares():
    pairs = pairs_table([(0, 1, 0), (1, 2, 0), (1, 0, 1), (3, 4, 1), (2, 1, 2)])
    split = splits.pairs_by_domain(pairs, "d1")
    assert split.sizes() == {"train": 2, "test": 2, "shared": 1} and split.part(pairs, "shared")["domain"].tolist() == ["d0"]
    assert splits.pairs_by_domain(pairs[pairs["domain"] != "d0"], "d1").sizes() == {"train": 1, "test": 2}
    with pytest.raises(DataError, match="needs concept_pairs.domain to hold physics; found d0, d1, d2"):
        splits.pairs_by_domain(pairs, "physics")
    with pytest.raises(DataError, match="found no column domain"):
        splits.pairs_by_domain(pairs.drop(columns="domain"), "d1")
    with pytest.raises(DataError, match="found none in train"):
        splits.pairs_by_domain(pairs[pairs["domain"] == "d1"], "d1")


def test_ids_of_pairs_are_saved(pairs, tmp_path):
    split = splits.pairs_inductive(pairs, seed=0)
    saved = pd.read_parquet(split.save(tmp_path / "pairs.parquet", pairs))
    assert list(saved) == ["part", "concept_id", "requires_id", "domain", "row"]
    for part in split.rows:
        wanted = split.part(pairs, part)[["concept_id", "requires_id"]].to_numpy().tolist()
        assert saved.loc[saved["part"] == part, ["concept_id", "requires_id"]].to_numpy().tolist() == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({"fold": 5}, "fold one of 0 to folds - 1; found folds 5, fold 5"), ({"folds": 1}, "folds must be at least 2"), ({"valid": 1.0}, "valid must be a share")],
)
def test_options_that_make_no_sense_are_refused(pairs, options, wanted):
    for make in MAKERS.values():
        with pytest.raises(DataError, match=wanted):
            make(pairs, **options)
        with pytest.raises(DataError, match="needs the columns requires_id"):
            make(pairs.drop(columns="requires_id"))


def test_a_prerequisite_of_a_prerequisite_is_implied():
    train = pairs_table([(0, 1, 0), (1, 2, 0), (2, 3, 0), (5, 4, 0), (4, 5, 0)]).assign(label=[1, 1, 0, 1, 1])
    pairs = pairs_table([(0, 2, 0), (2, 0, 0), (1, 3, 0), (0, 1, 0), (9, 1, 0), (4, 5, 0)])
    assert splits.implied(train, pairs.set_axis([*"abcdef"])).to_dict() == {"a": True, "b": False, "c": False, "d": True, "e": False, "f": True}
