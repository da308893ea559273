"""A network trained with noise: the promise is kept, answers ahead are not read, and without noise it learns."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from edukit.experiments import private_training, recipe

from edukit.data.synthetic import random_concepts, simulate
from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc
from edukit.report.privacy_figures import privacy_utility
from edukit.schema import DataError
from edukit.tracing.sequences import Vocabulary

pytest.importorskip("opacus", reason="private training needs Opacus: pip install 'edukit[privacy]'")
SETTINGS = {"delta": 1e-4, "hidden": 8, "epochs": 4, "batch_size": 40, "learning_rate": 0.05, "clip": 1.0, "seed": 0}


@pytest.fixture(scope="module")
def room():
    """160 learners, their first 20 responses, and what the catalogue knows."""
    tables = simulate(*random_concepts(seed=1), classes=8, learners_per_class=20, items_per_concept=3, seed=1).tables
    graph = ConceptGraph.from_tables(tables["concepts"], tables["prerequisites"], tables["q_matrix"])
    vocabulary = Vocabulary.build(graph.q_matrix, graph)
    return private_training.first_steps(tables["interactions"], graph, vocabulary, 20)[0], vocabulary, tables["interactions"], graph


def test_what_was_spent_is_no_more_than_what_was_promised(room):
    rows, vocabulary, *_ = room
    _, spent = private_training.train(rows, vocabulary, 3.0, **{**SETTINGS, "epochs": 1})
    assert 2.4 < spent <= 3
    assert private_training.train(rows, vocabulary, None, **{**SETTINGS, "epochs": 1})[1] is None


def test_the_step_of_an_empty_batch_is_noise_and_is_accounted(room, monkeypatch):
    from opacus.accountants import RDPAccountant
    from opacus.optimizers import DPOptimizer

    clip, noise, step, learners, moved, steps = DPOptimizer.clip_and_accumulate, DPOptimizer.add_noise, RDPAccountant.step, [], [], []

    def clipped(self):
        learners.append(len(self.grad_samples[0]))
        clip(self)

    def noised(self):
        quiet = all(not p.summed_grad.any() for p in self.params)
        noise(self)
        moved.append((quiet, all(p.grad.any() for p in self.params)))

    monkeypatch.setattr(DPOptimizer, "clip_and_accumulate", clipped)
    monkeypatch.setattr(DPOptimizer, "add_noise", noised)
    monkeypatch.setattr(RDPAccountant, "step", lambda self, **given: (steps.append(given), step(self, **given)))
    rows, vocabulary, *_ = room
    private_training.train(rows, vocabulary, 3.0, **{**SETTINGS, "epochs": 1, "batch_size": 1})
    empty = [told for count, told in zip(learners, moved, strict=True) if not count]
    assert len(learners) == len(rows[0]) == len(moved) == len(steps), "as many steps as were planned, each noised and accounted"
    assert len(empty) > 30 and set(empty) == {(True, True)}


def test_without_noise_it_learns_and_with_much_noise_it_does_not(room):
    rows, vocabulary, *_ = room
    y = rows[1][rows[2]].numpy()
    scores = {epsilon: auc(y, private_training.ask(private_training.train(rows, vocabulary, epsilon, **SETTINGS)[0], rows)) for epsilon in (None, 0.1)}
    assert scores[None] > 0.7 and scores[0.1] < scores[None] - 0.1


def test_later_answers_change_no_earlier_prediction(room):
    rows, vocabulary, *_ = room
    torch.manual_seed(0)
    network = private_training.PrivateDKT(vocabulary, 8).eval()
    item, correct, mask = rows
    changed = correct.clone()
    changed[:, 10:] = 1 - changed[:, 10:]
    before, after = (private_training.ask(network, (item, c, torch.ones_like(mask))).reshape(item.shape) for c in (correct, changed))
    assert np.array_equal(before[:, :11], after[:, :11]) and not np.allclose(before[:, 11:], after[:, 11:])


def test_what_is_in_the_catalogue_decides_the_shape_not_who_answered(room):
    _, vocabulary, log, graph = room
    seen = log[log["item_id"] != log["item_id"].iloc[0]]
    rows, _ = private_training.first_steps(seen, graph, vocabulary, 20)
    assert private_training.PrivateDKT(vocabulary, 8).easiness.weight.shape[1] == log["item_id"].nunique() + 1 and len(rows[0]) == 160


def test_the_whole_run_and_its_picture(tmp_path):
    report = recipe.start("private_training", "data.classes=6", "data.learners_per_class=15", "data.terms=1", "epsilons=[5,null]", "epochs=1",
                          "batch_share=0.25", "steps=10", "draws=10", f"paths.outputs={tmp_path}", "paths.tracking=null")
    table = pd.DataFrame(report.metrics)
    assert {"epsilon 5", "no noise", "item_mean"} <= set(table["model"].dropna()) and (report.folder / "privacy_utility.png").stat().st_size > 5_000
    asked = table[table["name"] == "auc"].set_index("model")["n"]
    assert asked.nunique() == 1, "floors are scored on the same responses"
    with pytest.raises(DataError, match="epsilon 1"):
        privacy_utility([])


@pytest.mark.parametrize("wrong", [{"batch_size": 100}, {"delta": 0.5}, {"epsilon": -1.0}])
def test_a_promise_that_means_nothing_is_refused(room, wrong):
    with pytest.raises(DataError, match="at least two batches"):
        private_training.train(room[0], room[1], **{"epsilon": 1.0, **SETTINGS, **wrong})


def test_without_opacus_the_error_says_what_to_install(room, monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus.layers", None)
    with pytest.raises(DataError, match=r"pip install 'edukit\[privacy\]'"):
        private_training.train(room[0], room[1], 1.0, **SETTINGS)
