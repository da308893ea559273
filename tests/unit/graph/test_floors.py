import numpy as np
import pandas as pd
import pytest

from edukit.graph.floors import ClosureRule, Constant, DegreeLogistic, RefD
from edukit.metrics import auc
from edukit.protocols import NotFittedError, PrerequisiteModel
from edukit.schema import DataError

PAIR = ["concept_id", "requires_id"]


def pairs(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*PAIR, "label"])


CHAIN = pairs(("c", "b", 1), ("b", "a", 1), ("x", "y", 0), ("y", "x", 1), ("a", "x", 0), ("x", "a", 0))


@pytest.mark.parametrize("floor", [Constant, ClosureRule, DegreeLogistic])
def test_floors_are_models_that_know_when_they_were_not_fitted(floor):
    model = floor()
    assert isinstance(model, PrerequisiteModel)
    for ask in (lambda: model.predict(CHAIN), model.graph):
        with pytest.raises(NotFittedError):
            ask()
    with pytest.raises(DataError, match="labelled pairs"):
        model.fit({}, None)
    said = model.fit({}, CHAIN).predict(CHAIN.set_axis(range(10, 16)))
    assert said.index.tolist() == list(range(10, 16)) and said.between(0, 1).all()
    assert len(model.graph().concept_ids) == 5


def test_closure_rule_follows_paths_both_ways_and_reads_reversed_negatives():
    rule = ClosureRule().fit({}, pairs(*CHAIN.itertuples(index=False, name=None), ("q", "r", 0)))
    asked = pairs(("c", "a", 0), ("a", "c", 0), ("b", "c", 0), ("r", "q", 0), ("new", "a", 0))
    # turned negatives in training: (y, x) positive; (a, x), (x, a) negative -> a third
    assert rule.predict(asked).tolist() == pytest.approx([1, 0, 0, 1 / 3, 0])


def test_constant_says_the_rate_of_training():
    assert set(Constant().fit({}, CHAIN).predict(CHAIN)) == {0.5}


def test_degrees_find_hubs_and_say_one_thing_of_concepts_never_seen():
    rng = np.random.default_rng(0)
    hub = [(f"c{k}", f"h{j}", 1.0) for k in range(40) for j in range(3) if rng.random() < 0.7]
    other = [(f"c{a}", f"c{b}", 0.0) for a, b in rng.integers(0, 40, (80, 2)) if a != b]
    rows = pairs(*hub, *other).drop_duplicates(PAIR)
    test = rows.sample(frac=0.3, random_state=0)
    model = DegreeLogistic().fit({}, rows.drop(test.index))
    assert auc(test["label"].to_numpy(), model.predict(test).to_numpy()) > 0.9
    assert model.predict(pairs(("new", "other", 0), ("more", "new", 0))).nunique() == 1


def test_random_labels_carry_no_degree_information():
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        rows = pairs(*[(f"c{a}", f"c{b}", float(rng.random() < 0.4)) for a, b in rng.integers(0, 40, (700, 2)) if a != b]).drop_duplicates(PAIR)
        test = rows.sample(frac=0.4, random_state=seed)
        found.append(auc(test["label"].to_numpy(), DegreeLogistic().fit({}, rows.drop(test.index)).predict(test).to_numpy()))
    assert abs(np.mean(found) - 0.5) < 0.06


def test_refd_reads_its_column_and_says_where_it_is_missing():
    rng = np.random.default_rng(0)
    rows = pairs(*[(f"c{a}", f"c{b}", float(a > b)) for a, b in rng.integers(0, 20, (200, 2)) if a != b]).drop_duplicates(PAIR)
    tables = {"concepts": pd.DataFrame({"concept_id": [f"c{k}" for k in range(20)], "name": "n"})}
    columns = rows[PAIR].assign(refd=rows["label"] + rng.normal(0, 0.2, len(rows)), noise=1.0)
    said = RefD().fit({**tables, "pair_features": columns}, rows).predict(rows)
    assert auc(rows["label"].to_numpy(), said.to_numpy()) > 0.95
    with pytest.raises(DataError, match=r"pair_features\.refd"):
        RefD().fit(tables, rows)
