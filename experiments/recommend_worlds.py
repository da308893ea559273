"""The worlds of the matrix: logs of practice, models fitted to them, and a whole cohort followed by such a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from edukit.graph.concept_graph import ConceptGraph
from edukit.recommend.estimate import Estimate
from edukit.recommend.policies import ExpertOrder, RandomChoice
from edukit.recommend.policy import ConceptPolicy
from edukit.recommend.simulate import GatedWorld, World
from edukit.recommend.terrain import Terrain
from edukit.recommend.trials import drawn
from edukit.schema import DataError
from edukit.tracing.atlas_steps import Learners
from edukit.tracing.atlas_traced import AtlasTraced
from edukit.tracing.networks import NetworkModel, Steps, share_of_items


class NetworkFollower:
    """A cohort as a fitted tracing network sees it."""

    def __init__(self, model: NetworkModel, item_ids: tuple[str, ...]) -> None:
        self.model, self.network = model, model.network_
        self._place = model.vocabulary_.index(pd.Series(item_ids, dtype=object))

    def begin(self, learners: int) -> None:
        """Learners never seen."""
        self._learners = learners
        self._state = self.network.start()

    def _steps(self, item: np.ndarray, correct: np.ndarray) -> Steps:
        vocabulary, place = self.model.vocabulary_, self._place[item]
        return Steps(torch.from_numpy(vocabulary.parameter(place))[:, None], torch.from_numpy(vocabulary.set_of_item[place])[:, None],
                     torch.from_numpy(np.asarray(correct, np.float32))[:, None], torch.ones(len(item), 1, dtype=torch.bool))

    @torch.no_grad()
    def _logits(self) -> torch.Tensor:
        return self.network.concept_logits(self._state).expand(self._learners, -1)

    @torch.no_grad()
    def chance(self, item: np.ndarray) -> np.ndarray:
        """(B,) P(correct) of each learner's next response, were it to these items (B,)."""
        steps = self._steps(item, np.zeros(len(item)))
        members, share = self.network.members[steps.concepts[:, 0]], self.network.share[steps.concepts[:, 0]]
        concept = (torch.gather(self._logits(), 1, members.clamp(max=len(self.model.vocabulary_.concept_ids) - 1)) * share).sum(1)
        return torch.sigmoid(concept + self.network.easiness(steps.item)[:, 0]).double().numpy()

    @torch.no_grad()
    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        """Every learner has answered one item (B,)."""
        self._state = self.network.after(self._steps(item, correct), self._state)

    def mastery(self) -> np.ndarray:
        """(B, C) expected share of each concept's items right."""
        return share_of_items(self._logits().numpy(), self.model._item_logit, self.model.vocabulary_)


class AtlasFollower:
    """A cohort as ATLAS sees it, fitted over time along the graph: its latent model, without the regression on counts."""

    def __init__(self, model: AtlasTraced, item_ids: tuple[str, ...]) -> None:
        self.model, self.steps = model, model.along_
        self._place = model.vocabulary_.index(pd.Series(item_ids, dtype=object))

    def begin(self, learners: int) -> None:
        """Learners never seen."""
        self._state: Learners = self.steps.start(learners)

    def _answer(self, state: Learners, item: np.ndarray, correct: np.ndarray) -> np.ndarray:
        who, concept = self.model.vocabulary_.concept_pairs(self._place[item])
        nth = np.arange(len(who)) - np.searchsorted(who, who)
        p = self.steps.answer(state, who, concept, self._place[item][who], nth, np.asarray(correct, float)[who])
        return p[nth == 0]

    def chance(self, item: np.ndarray) -> np.ndarray:
        """(B,) P(correct) of each learner's next response, were it to these items (B,)."""
        return self._answer(self._state.copy(), item, np.ones(len(item)))

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        """Every learner has answered one item (B,)."""
        self._answer(self._state, item, correct)

    def mastery(self) -> np.ndarray:
        """(B, C) P(mastered)."""
        return self.model._mastered(self._state, np.arange(len(self._state.ability)))


def practised(world: World, policies: list[ConceptPolicy], learners: int, steps: int, seed: int) -> pd.DataFrame:
    """Table ``interactions`` of a cohort of which every policy led an equal share."""
    world.reset(learners, seed)
    terrain, rng = world.terrain, np.random.default_rng([seed, 3])
    estimate, everybody = Estimate().start(learners, terrain), np.arange(learners)
    led = everybody % len(policies)
    progress = [policy.begin(learners, terrain) for policy in policies]
    rows = []
    for step in range(steps):
        item = np.empty(learners, np.int64)
        for k, policy in enumerate(policies):
            view = policy.view(terrain, progress[k], estimate.mastery())
            chosen = policy.item_of(terrain, view, drawn(policy.odds(view, rng), rng), rng)
            item[led == k] = chosen[led == k]
        correct = world.answer(everybody, item)
        for k, policy in enumerate(policies):
            policy.note(terrain, progress[k], item, correct)
        estimate.step(item, correct)
        rows.append(pd.DataFrame({"learner_id": everybody, "item_id": np.asarray(terrain.item_ids, object)[item], "correct": correct, "order": step}))
    log = pd.concat(rows, ignore_index=True)
    return log.assign(learner_id="u" + log["learner_id"].astype(str).str.zfill(5))


def log_of(cfg: DictConfig, graph: ConceptGraph, responses: pd.DataFrame) -> pd.DataFrame:
    """What the fitted worlds are fitted to: practice in the gated world, half of it at random and half in the expert's order, or the data."""
    if cfg.practice is None:
        return responses
    return practised(GatedWorld(graph, seed=int(cfg.seed)), [RandomChoice(), ExpertOrder()], cfg.practice, cfg.steps, 1000 + int(cfg.seed))


FOLLOWERS: dict[str, Callable[[Any, tuple[str, ...]], Any]] = {"dkt_fitted": NetworkFollower, "atlas_fitted": AtlasFollower}


def built(cfg: DictConfig, name: str, graph: ConceptGraph, log: pd.DataFrame) -> World:
    """A world of the config over the true graph; the fitted ones from a model fitted to ``log``.

    Raises
    ------
    DataError
        Where the config names no model for a fitted world.
    """
    made = instantiate(cfg.worlds[name])
    if name not in FOLLOWERS:
        return made(graph=graph)
    if name not in cfg.fitted:
        raise DataError(f"world {name} needs a model under `fitted`; found {', '.join(cfg.fitted)}. Add it, or leave the world out.")
    model = instantiate(cfg.fitted[name]).fit(log, graph)
    world = made(graph=graph, follower=FOLLOWERS[name](model, Terrain.of(graph).item_ids))
    world.name = name
    return world
