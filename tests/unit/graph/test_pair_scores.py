import numpy as np
import pandas as pd
import pytest

from edukit.graph.noisy_and import NoisyAnd
from edukit.graph.notears import Notears
from edukit.graph.pair_scores import PairScores
from edukit.protocols import NotFittedError
from edukit.schema import DataError

IDS = ["a", "b", "c"]


def found(score: np.ndarray, kept: np.ndarray) -> PairScores:
    judged = ~np.eye(3, dtype=bool)
    judged[0, 2] = False
    return PairScores.of("me", {"concepts": pd.DataFrame({"concept_id": [*IDS, "d"]})}, IDS, score, np.full((3, 3), 30), judged, kept)


def test_scores_are_looked_up_in_their_direction_and_pairs_not_judged_get_none():
    score = np.array([[0, 0.1, 0.9], [0.2, 0, 0.3], [0.4, 0.5, 0]])
    pairs = pd.DataFrame({"concept_id": ["b", "a", "a", "d"], "requires_id": ["a", "b", "c", "a"]}, index=[7, 5, 3, 1])
    model = found(score, score > 0.25)
    said = model.predict(pairs)
    assert said.index.tolist() == [7, 5, 3, 1] and said.isna().tolist() == [False, False, True, True] and said[7] == 0.2 and said[5] == 0.1
    assert len(model.table) == 5 and model.table["n"].eq(30).all()


def test_the_graph_holds_what_is_kept_without_a_circle_and_every_concept():
    score = np.array([[0, 0.9, 0], [0.6, 0, 0.3], [0.4, 7.0, 0]])
    graph = found(score, score > 0.5).graph()
    assert graph.concept_ids == [*IDS, "d"] and set(graph.prerequisites["source"]) == {"me"} and set(graph.prerequisites["channel"]) == {"responses"}
    assert {(r.concept_id, r.requires_id): r.weight for r in graph.prerequisites.itertuples()} == {("a", "b"): 0.9, ("c", "b"): 1.0}
    assert not len(found(score, score > 8).graph().prerequisites)


@pytest.mark.parametrize("model", [NoisyAnd(), Notears()], ids=lambda model: type(model).__name__)
def test_models_name_themselves_where_they_were_not_fitted_or_lack_a_table(model):
    name = type(model).__name__
    for ask in (model.scores, model.graph, lambda: model.predict(pd.DataFrame({"concept_id": ["a"], "requires_id": ["b"]}))):
        with pytest.raises(NotFittedError, match=f"^{name} was asked"):
            ask()
    with pytest.raises(DataError, match=f"^{name} needs the table q_matrix; found interactions"):
        model.fit({"interactions": pd.DataFrame()})
