import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from edukit.data.curriculum import ConceptMap, random_concepts
from edukit.data.junyi import Junyi
from edukit.graph import pair_features
from edukit.graph.channels import CHANNELS, dealt
from edukit.graph.fusion import CIRCULAR, Fusion, in_words
from edukit.graph.fusion_trial import ADDED, EXCHANGED, by_channel, combinations, exchanged, labelled, score_by_topic, trial
from edukit.metrics import auc, ece
from edukit.protocols import NotFittedError, PrerequisiteModel
from edukit.schema import DataError
from edukit.validation import validate_all

PAIR = ["concept_id", "requires_id"]
SMALL = {"rounds": 30, "smallest_leaf": 8, "components": 3}


def meaning(texts) -> np.ndarray:
    """In place of MiniLM: a name "d<depth> <id>" lies along a line of depth, with noise of its own."""
    rows = []
    for text in texts:
        row = np.random.default_rng(sum(map(ord, text))).normal(0, 0.05, 384)
        row[0], row[1] = 1.0, (int(text.split()[0][1:]) if text[0] == "d" else 1) / 5
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, np.float32).reshape(-1, 384)


@pytest.fixture(autouse=True)
def _no_minilm(monkeypatch):
    monkeypatch.setattr(pair_features, "embed", meaning)
    pair_features._features.cache_clear()


def world(learners: int = 400, concepts: int = 40, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Mastery, and what is met at all, follow a random map; a concept's name tells how deep it lies; eight topics cut across the map."""
    known, prerequisites = random_concepts(concepts, seed=seed)
    chart, rng = ConceptMap.of(known, prerequisites), np.random.default_rng([seed, learners])
    ability, ease = rng.normal(0, 0.9, learners), rng.normal(2.4, 0.4, concepts)
    mastered, met = np.zeros((2, learners, concepts), bool)
    for k in chart.sequence:
        ready, came = (kind[:, chart.parents[k]].all(axis=1) for kind in (mastered, met))
        mastered[:, k] = rng.random(learners) < np.where(ready, 1, 0.12) / (1 + np.exp(-ease[k] - ability))
        met[:, k] = rng.random(learners) < np.where(came, 0.85, 0.3)
    learner, item = np.nonzero(np.repeat(met, 3, axis=1))
    correct = rng.random(len(item)) < np.where(mastered[learner, item // 3], 0.88, 0.15)
    rows = pd.DataFrame({"learner_id": learner.astype(str), "item_id": item.astype(str), "correct": correct.astype(float),
                         "order": pd.array([pd.NA] * len(item), "Int64")})
    q = pd.DataFrame({"item_id": np.arange(concepts * 3).astype(str), "concept_id": chart.ids[np.arange(concepts * 3) // 3].astype(str)})
    named = known.assign(name=[f"d{d} {c}" for d, c in zip(known["level"].astype(int), known["concept_id"], strict=True)],
                         topic=[f"t{k % 8}" for k in range(concepts)])
    return {"interactions": rows, "q_matrix": q, "concepts": named, "prerequisites": prerequisites}


@pytest.fixture(scope="module")
def tables():
    return world()


@pytest.fixture(scope="module")
def sources(tables):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_features, "embed", meaning)
        pair_features._features.cache_clear()
        return Fusion(**SMALL).sources(tables)


@pytest.fixture(scope="module")
def pairs(tables, sources):
    return labelled(sources, tables["prerequisites"], 20)


def parts(pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs to learn from, and those with an end among eight concepts that are in none of them."""
    ids = sorted(pairs["concept_id"].unique())
    new = pairs[PAIR].isin(ids[::5]).any(axis=1)
    return pairs[~new & ~pairs["implied"]], pairs[new & ~pairs["implied"]]


@pytest.fixture(scope="module")
def fitted(sources, pairs):
    return Fusion(**SMALL).learn(sources, parts(pairs)[0])


def test_planted_prerequisites_of_new_concepts_are_found_and_by_either_side_of_the_log_alone(fitted, pairs):
    test = parts(pairs)[1]
    assert isinstance(fitted, PrerequisiteModel) and fitted.channels == ("text", "responses", "exposure")
    said = fitted.predict(test.set_axis(test.index + 1000))
    assert said.between(0, 1).all() and said.index.equals(test.index + 1000)
    label = test["label"].to_numpy()
    assert auc(label, said.to_numpy()) > 0.85
    assert all(auc(label, fitted.only(c).predict(test).to_numpy()) > 0.6 for c in ("responses", "exposure"))
    right = test[label == 1]
    turned = right.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id"})
    assert (fitted.predict(right).to_numpy() > fitted.predict(turned).to_numpy()).mean() > 0.7


def test_the_channels_add_up_to_the_probability(fitted, pairs):
    told = fitted.by_channel(pairs)
    assert list(told) == [*PAIR, "text", "responses", "exposure", "prior", "probability"]
    total = told[[*fitted.channels, "prior"]].sum(axis=1)
    np.testing.assert_allclose(told["probability"], 1 / (1 + np.exp(-total)))
    np.testing.assert_array_equal(told["probability"], fitted.predict(pairs))
    assert all(weight >= 0 for weight in fitted.weights.values())
    row = told.dropna().iloc[0]
    words = in_words(told.dropna())
    assert words.index.equals(told.dropna().index) and f"log odds {row['prior']:+.1f} before" in words.iloc[0]
    assert all(f"{channel} {row[channel]:+.1f}" in words.iloc[0] for channel in fitted.channels)
    size = [abs(float(part.split()[1])) for part in words.iloc[0].split(", ")[1:]]
    assert size == sorted(size, reverse=True) and "responses silent" in in_words(told.assign(responses=np.nan))[0]


def test_a_channel_switched_off_is_not_read_and_only_is_the_same_as_off(tables, fitted, pairs):
    train, test = parts(pairs)
    other = {"text": {"concepts": tables["concepts"].assign(name="d1 same")},
             "responses": {"interactions": tables["interactions"].assign(correct=1.0 - tables["interactions"]["correct"])}}
    for channel, changed in other.items():
        off = {channel: False}
        plain = Fusion(**SMALL, **off).fit(tables, train).predict(test)
        pd.testing.assert_series_equal(plain, Fusion(**SMALL, **off).fit({**tables, **changed}, train).predict(test))
        pd.testing.assert_series_equal(plain, fitted.only(*[c for c in fitted.channels if c != channel]).predict(test))
    words = Fusion(**SMALL, responses=False, exposure=False)
    pd.testing.assert_series_equal(words.fit(tables, train).predict(test), words.fit({"concepts": tables["concepts"]}, train).predict(test))


def test_a_channel_asked_for_names_the_table_it_lacks(tables):
    labels = tables["prerequisites"].iloc[:4].assign(label=[0.0, 1, 0, 1])
    for channel, lost, name in (("context", "documents", "documents"), ("exposure", "interactions", "interactions"),
                                ("responses", "q_matrix", "q_matrix"), ("text", "concepts", "concepts")):
        with pytest.raises(DataError, match=f"{channel}.*needs the table .*{name}"):
            Fusion(**{channel: True}).fit({k: t for k, t in tables.items() if k != lost}, labels)
    with pytest.raises(DataError, match="at least one channel"):
        Fusion(**dict.fromkeys(CHANNELS, False)).fit(tables, labels)
    with pytest.raises(DataError, match="learns from labelled pairs"):
        Fusion().fit(tables, None)
    with pytest.raises(NotFittedError):
        Fusion().predict(labels)


def test_courses_are_a_channel_where_there_are_some(tables, pairs):
    documents = pd.DataFrame({"document_id": ["a", "b"], "text": ["About d1 C01.", "About d2 C02."], "level": [1.0, 2.0]})
    model = Fusion(**SMALL, responses=False, exposure=False).fit({**tables, "documents": documents}, parts(pairs)[0])
    assert model.channels == ("text", "context") and model.by_channel(pairs)["context"].notna().all()


def test_shuffled_labels_teach_nothing(sources, pairs):
    train, test = parts(pairs)
    found = []
    for seed in range(4):
        drawn = train.assign(label=np.random.default_rng(seed).permutation(train["label"]))
        found.append(auc(test["label"].to_numpy(), Fusion(**SMALL, seed=seed).learn(sources, drawn).predict(test).to_numpy()))
    assert abs(np.mean(found) - 0.5) < 0.12


def test_the_order_of_the_labels_does_not_matter_and_the_seed_does_its_part(sources, pairs, fitted):
    train, test = parts(pairs)
    again = Fusion(**SMALL).learn(sources, train.sample(frac=1, random_state=1))
    pd.testing.assert_series_equal(fitted.predict(test), again.predict(test))
    assert not Fusion(**SMALL, seed=1).learn(sources, train).predict(test).equals(fitted.predict(test))


def test_it_abstains_where_nothing_is_known(tables, pairs):
    strange = pd.DataFrame({"concept_id": ["zz", pairs["concept_id"][0]], "requires_id": [pairs["requires_id"][0]] * 2})
    model = Fusion(**SMALL, text=False).fit(tables, parts(pairs)[0])
    assert model.predict(strange).isna().tolist() == [True, False] and model.by_channel(strange)["responses"].isna()[0]


def test_the_graph_is_acyclic_says_its_channel_and_that_exposure_may_be_circular(fitted, tables):
    graph = fitted.graph()
    assert len(graph.topological_order()) == 40 and len(graph.prerequisites) and (graph.prerequisites["channel"] == "fusion").all()
    assert graph.prerequisites["weight"].min() >= 0.5 and len(graph.q_matrix) == 120
    assert graph.prerequisites["rationale"].str.fullmatch(r"log odds \S+ before(, (text|responses|exposure) (silent|[+-]\d+\.\d)){3}").all()
    assert fitted.notes == [CIRCULAR] and fitted.only("text", "responses").notes == []
    with pytest.raises(DataError, match="must name channels"):
        fitted.only("context")


def test_no_label_of_a_tested_topic_is_seen(sources, pairs):
    sets = combinations(("text", "exposure"))
    assert list(sets) == ["text+exposure", "text", "exposure"]
    of = dealt(sources.groups(), 4, 1000)

    def run(rows: pd.DataFrame) -> pd.DataFrame:
        return score_by_topic(lambda: Fusion(**SMALL), sources, rows, sets, 4, 0)

    touched = (pairs[PAIR].apply(lambda c: c.map(of)) == 2).any(axis=1)
    turned = pairs.assign(label=np.where(touched, 1 - pairs["label"], pairs["label"]))
    one, other = run(pairs), run(turned)
    apart = (logit(one[list(sets)]) - logit(other[list(sets)])).to_numpy()  # the prior, shared by all parts, is one number: it ranks nothing
    assert np.ptp(apart[touched], axis=0) == pytest.approx(np.zeros(3), abs=1e-6) and (np.ptp(apart[~touched], axis=0) > 1).all()


def test_the_trial_says_what_each_channel_is_worth_and_its_probabilities_hold(tables):
    said: list[str] = []
    records, scored = trial(tables, folds=3, seeds=(0,), draws=10, say=said.append)
    value = {(r["channel"], r["split"], r["name"]): r for r in records}
    every = "text+responses+exposure"
    assert {c for c, _, _ in value} == {*combinations(("text", "responses", "exposure")), EXCHANGED}
    assert value[every, "covered", "ap"]["value"] > 4 * value[every, "covered", "random_ap"]["value"]
    assert value[every, "covered", "ap"]["low"] < value[every, "covered", "ap"]["value"] < value[every, "covered", "ap"]["high"]
    assert value["responses", "covered", "auc"]["value"] > value[EXCHANGED, "covered", "auc"]["value"] + 0.1
    assert value[every, "covered", "direction_accuracy"]["value"] > 0.7 and {s for _, s, _ in value} == {"covered", "all_pairs", "within_topic"}
    kept = scored[~scored["implied"]]
    error = ece(kept["label"].to_numpy(), kept[every].to_numpy())
    assert error < 0.02 and value[every, "covered", "ece"]["value"] == pytest.approx(error)
    ranked = kept.sort_values(every)  # bins that each hold a tenth of the expected prerequisites: most pairs are improbable
    share = (ranked[every].cumsum() / ranked[every].sum() * 10).astype(int).clip(upper=9).to_numpy()
    table = ranked.groupby(share).agg(predicted=(every, "mean"), observed=("label", "mean"))
    assert table["observed"].corr(table["predicted"]) > 0.7
    assert CIRCULAR in said and any("responses: ap" in line for line in said)
    told = by_channel(scored).merge(scored, on=PAIR, suffixes=("_told", ""))
    assert list(by_channel(scored)) == [*PAIR, "n", "probability", "text", "responses", "exposure", "prior"] and len(told) == len(scored)
    np.testing.assert_allclose(logit(told["probability"]), told[["text_told", "responses_told", "exposure_told", "prior"]].sum(axis=1))
    np.testing.assert_array_equal(told["responses_told"], told[f"{ADDED}responses"])


def test_exchanged_marks_leave_who_met_what_and_how_hard_items_are(tables):
    rows, other = tables["interactions"], exchanged(tables)["interactions"]
    pd.testing.assert_frame_equal(rows[["learner_id", "item_id"]], other[["learner_id", "item_id"]])
    pd.testing.assert_series_equal(rows.groupby("item_id")["correct"].sum(), other.groupby("item_id")["correct"].sum())
    assert (rows["correct"] != other["correct"]).mean() > 0.2


def test_a_trial_without_something_to_judge_is_refused(tables):
    with pytest.raises(DataError, match="needs the table prerequisites"):
        trial({k: t for k, t in tables.items() if k != "prerequisites"})
    few = tables["interactions"][tables["interactions"]["learner_id"].astype(int) < 10]
    with pytest.raises(DataError, match="found 0 edges in 0 such pairs"):
        trial({**tables, "interactions": few}, channels=("responses",), say=lambda line: None)


@pytest.mark.realdata
def test_junyi_by_topic_answers_tell_more_than_who_met_what_lets_through(edukit_data):
    tables = validate_all(Junyi().parse(edukit_data / "junyi"))
    records, _ = trial(tables, channels=("responses", "exposure"), folds=3, seeds=(0,), draws=2, say=lambda line: None)
    ap = {r["channel"]: r["value"] for r in records if r["name"] == "ap" and r["split"] == "covered"}
    assert ap["responses+exposure"] > 0.30 and ap["responses"] > 0.07 and ap["responses"] > 1.5 * ap[EXCHANGED]


def test_parts_that_lost_more_labels_are_not_ranked_by_it(monkeypatch):
    """Names say nothing, and edges stay inside topics: a prior per part would tell which part a pair is in, and so its label."""
    monkeypatch.setattr(pair_features, "embed", lambda texts: np.random.default_rng(3).normal(size=(len(texts), 384)).astype(np.float32))
    pair_features._features.cache_clear()
    found, only = [], {"text": True, "context": False, "responses": False, "exposure": False}
    for seed in range(3):
        ids = [f"c{k:02d}" for k in range(24)]
        concepts = pd.DataFrame({"concept_id": ids, "name": ids, "topic": [f"t{k // 4}" for k in range(24)]})
        pairs = pd.DataFrame([(a, b) for a in ids for b in ids if a != b], columns=["concept_id", "requires_id"])
        inside = pairs["concept_id"].str[1:].astype(int) // 4 == pairs["requires_id"].str[1:].astype(int) // 4
        label = (inside & (np.random.default_rng(seed).random(len(pairs)) < 0.4)).astype(float)
        asked = pairs.assign(label=label, implied=False, n=100)
        scored = score_by_topic(lambda: Fusion(**only), Fusion(**only).sources({"concepts": concepts}), asked, {"text": ("text",)}, 6, seed)
        found.append(auc(scored["label"].to_numpy(), scored["text"].to_numpy()))
    assert abs(np.mean(found) - 0.5) < 0.12, found
