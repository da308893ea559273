import pytest

from edukit.data.junyi import Junyi
from edukit.graph.evidence import CHANNELS, pairwise
from edukit.graph.judging import judge
from edukit.graph.sources import Expert
from edukit.validation import validate_all

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def tables(edukit_data):
    return validate_all(Junyi().parse(edukit_data / "junyi"))


@pytest.fixture(scope="module")
def wide(tables):
    return pairwise(tables["interactions"], tables["q_matrix"])


def measured(tables, wide, statistic):
    scores = wide.rename(columns={statistic: "score"})[["concept_id", "requires_id", "score", "n"]]
    topics = tables["concepts"].set_index("concept_id")["topic"]
    records = judge(scores, tables["prerequisites"], topics, channel=CHANNELS[statistic], draws=20)
    return {(r["split"], r["name"]): r for r in records}


def test_responses_agree_with_the_experts_far_above_chance(tables, wide):
    found = measured(tables, wide, "parent_correct_given_child_passed")
    assert found["covered", "auc"]["value"] > 0.72 and found["covered", "ap"]["value"] > 0.06
    assert found["covered", "direction_accuracy"]["value"] > 0.65
    assert found["covered", "ap"]["low"] > 3 * found["covered", "random_ap"]["value"]
    assert found["covered", "random_ap"]["value"] == pytest.approx(0.0063, abs=2e-4)
    assert found["within_topic", "random_ap"]["value"] == pytest.approx(0.073, abs=1e-3)
    assert found["within_topic", "ap"]["value"] > 0.15 and 0.03 < found["all_pairs", "ap"]["value"] < 0.06
    assert found["covered", "coverage"]["n"] == 979


def test_exposure_agrees_more_which_is_circular_here(tables, wide):
    found = measured(tables, wide, "exposure_conditional")
    assert found["covered", "auc"]["value"] > 0.85 and found["covered", "ap"]["value"] > 0.13
    assert found["covered", "direction_accuracy"]["value"] > 0.75
    assert round(found["covered", "coverage"]["value"] * 979) == 585


def test_the_experts_circle_is_broken_once_and_reported(tables):
    expert = Expert().fit(tables)
    assert expert.report["edges"] == 978 and len(expert.report["dropped"]) == 1
    assert "radicals" in expert.report["dropped"]["concept_id"][0]
