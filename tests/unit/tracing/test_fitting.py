"""What all networks share of ``fit``: cutting batches by length is a matter of speed alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph

torch = pytest.importorskip("torch")


def test_trimmed_micro_batches_learn_as_full_padding_does(monkeypatch):
    """The loss of every epoch, and the predictions at the end, with batches cut by length and with each padded to its longest history."""
    from edukit.tracing.dkt import DKT, DKTNetwork
    from edukit.tracing.fitting import TrainingSettings

    rng = np.random.default_rng(5)
    lengths = np.minimum(rng.geometric(0.04, 120) + 1, 150)
    ability, item = np.repeat(rng.normal(0, 1.5, 120), lengths), rng.integers(0, 30, lengths.sum())
    rows = pd.DataFrame({"learner_id": np.repeat([f"u{k}" for k in range(120)], lengths), "order": np.concatenate([np.arange(n) for n in lengths]),
                         "item_id": [f"i{k}" for k in item], "correct": (rng.random(len(item)) < 1 / (1 + np.exp(item / 10 - 1.5 - ability))).astype(float)})
    graph = ConceptGraph.from_tables(None, None, pd.DataFrame({"item_id": [f"i{k}" for k in range(30)], "concept_id": [f"c{k % 5}" for k in range(30)]}))
    cuts: dict[float, list[int]] = {}
    train = TrainingSettings.train

    def watched(self, network, part, *others):
        cuts[network.trim] = [len(batch) for batch in part[0].batches(self.batch_size, (self.seed, 0), network.trim)]
        return train(self, network, part, *others)

    monkeypatch.setattr(TrainingSettings, "train", watched)
    model = {"hidden": 16, "embedding": 8, "dropout": 0.0, "epochs": 6, "batch_size": 32, "learning_rate": 0.02}
    fitted = []
    for trim in (0.6, 0.0):
        monkeypatch.setattr(DKTNetwork, "trim", trim)
        fitted.append(DKT(**model).fit(rows, graph))
    trimmed, padded = fitted
    assert min(cuts[0.6][:3]) > 3 and set(cuts[0.0]) == {1}
    np.testing.assert_allclose(trimmed.training_, padded.training_, atol=1e-4)
    np.testing.assert_allclose(trimmed.predict(rows), padded.predict(rows), atol=1e-3)
    assert trimmed.training_["valid_loss"].iloc[-1] < trimmed.training_["valid_loss"].iloc[0] - 0.02


def test_weights_are_carried_over_by_ids_also_where_tables_are_of_one_length():
    """As many items as concepts, and as many gates (DKT) or slots (DKVMN) as there are rows of concepts: each row finds its own id, no gate moves."""
    from edukit.tracing.dkt import DKT
    from edukit.tracing.memory import DKVMN
    from edukit.tracing.networks import _wider, carry
    from edukit.tracing.sequences import Vocabulary

    def vocabulary(items: str, concepts: str) -> Vocabulary:
        return Vocabulary(tuple(items), len(items), tuple(concepts), np.r_[-1, np.arange(len(items)) % len(concepts)][:, None])

    known = vocabulary("pqrstuv", "abcdefg")
    for model, tables in ((DKT(hidden=2, embedding=4), {"response", "weight", "offset"}), (DKVMN(slots=8, hidden=6, embedding=5), {"key", "response"})):
        old = model._network(known, {})
        torch.nn.init.normal_(old.item_bias.weight)
        for items, concepts in (("pqrstuv", "gfedcba"), ("opqruvwx", "hagbfced")):
            vocabulary_now = vocabulary(items, concepts)
            new = model._network(vocabulary_now, {})
            drawn = {name: value.clone() for name, value in new.state_dict().items()}
            carry(old, known, new, vocabulary_now, model._network(_wider(vocabulary_now), {}))
            for name, value in new.state_dict().items():
                before, now = ("abcdefg-", f"{concepts}-") if name in tables else ("-pqrstuv", f"-{items}") if name == "item_bias.weight" else (None, None)
                was = old.state_dict()[name]
                expected = was if now is None else torch.stack([was[before.index(c)] if c in before else drawn[name][k] for k, c in enumerate(now)])
                assert torch.equal(value, expected), name
