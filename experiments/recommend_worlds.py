"""The worlds of the matrix: logs of practice, models fitted to them, and cohorts that such a model follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig

from edukit.graph.concept_graph import ConceptGraph
from edukit.recommend.estimate import Estimate
from edukit.recommend.policies import ExpertOrder, RandomChoice
from edukit.recommend.policy import ConceptPolicy
from edukit.recommend.simulate import GatedWorld, World
from edukit.recommend.simulate_fitted import FittedWorld
from edukit.recommend.terrain import Terrain
from edukit.recommend.trials import drawn
from edukit.schema import DataError
from edukit.tracing.cohorts import cohort_of


class Led:
    """A cohort as a fitted model sees it (:mod:`edukit.tracing.cohorts`), asked by positions of a world's items."""

    def __init__(self, model: Any, item_ids: tuple[str, ...]) -> None:
        self.cohort = cohort_of(model)
        self._place = self.cohort.place(np.asarray(item_ids, object))

    def begin(self, learners: int) -> None:
        """Learners never seen."""
        self.cohort.begin(learners)

    def chance(self, item: np.ndarray) -> np.ndarray:
        """(B,) P(correct) of each learner's next response, were it to these items (B,)."""
        return self.cohort.chance(self._place[item])

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        """Every learner has answered one item (B,)."""
        self.cohort.follow(self._place[item], correct)

    def mastery(self) -> np.ndarray:
        """(B, C) mastery as the model sees it."""
        return self.cohort.mastery()


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


def built(cfg: DictConfig, name: str, graph: ConceptGraph, log: pd.DataFrame) -> World:
    """A world of the config over the true graph; the fitted ones from a model fitted to ``log``.

    Raises
    ------
    DataError
        Where the config names no model for a fitted world.
    """
    made = instantiate(cfg.worlds[name])
    if not issubclass(get_class(cfg.worlds[name]["_target_"]), FittedWorld):
        return made(graph=graph)
    if name not in cfg.fitted:
        raise DataError(f"world {name} needs a model under `fitted`; found {', '.join(cfg.fitted)}. Add it, or leave the world out.")
    model = instantiate(cfg.fitted[name]).fit(log, graph)
    world = made(graph=graph, follower=Led(model, Terrain.of(graph).item_ids))
    world.name = name
    return world
