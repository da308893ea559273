"""Settings and constructors say the same: every yaml composes, instantiates and lists every argument with its default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_object, instantiate

from edukit.reproducibility import bundled

CONF = bundled("conf")
NO_ROOM = {"experiment", "hydra", "interventions", "paths", "rubrics", "sweep"}  # groups of settings that are no package's
ROOM_OF = {"simulators": "recommend"}  # groups of settings of a package with another name
FILES = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name not in NO_ROOM)
EXPERIMENTS = sorted([*CONF.glob("*.yaml"), *CONF.glob("experiment/*.yaml")])
MACHINERY = {"_target_", "_partial_", "_convert_", "_recursive_"}
INTERPOLATION = re.compile(r"\$\{\s*([^{}:,\s]+)")  # the first word of each


def short(path: Path) -> str:
    return str(path.relative_to(CONF).with_suffix(""))


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def targets(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping with a ``_target_``, at any depth."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for inside in node.values():
            yield from targets(inside)
    elif isinstance(node, list):
        for inside in node:
            yield from targets(inside)


def plain(value: Any) -> Any:
    """A value as yaml would hold it: tuples are lists, whole floats are equal to integers."""
    if isinstance(value, dict):
        return {key: plain(inside) for key, inside in value.items()}
    return [plain(inside) for inside in value] if isinstance(value, list | tuple) else value


def composed(main: str, override: str = "") -> Any:
    """The whole settings of a run: those of ``main`` with one ``group=name`` chosen or added."""
    group = override.partition("=")[0]
    defaults = [entry for entry in read(CONF / "config.yaml").get("defaults", []) if isinstance(entry, dict)]
    chosen = {key.removeprefix("override ").removeprefix("optional ") for entry in defaults for key in entry}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(main, overrides=[override if group in chosen else f"+{override}"] if override else [])


def disagreements(node: dict[str, Any], group: str) -> list[str]:
    """Where one mapping with a ``_target_`` and the constructor it names differ."""
    target = node["_target_"]
    if not target.startswith(f"edukit.{group}."):
        return [f"_target_ {target} must lie in edukit.{group}"]
    parameters = inspect.signature(get_object(target)).parameters
    greedy = [name for name, p in parameters.items() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    found = [f"{target} takes **{name}: name every argument" for name in greedy]
    left_to_the_caller = {name for name, p in parameters.items() if node.get("_partial_") and p.default is p.empty}
    keys, wanted = set(node) - MACHINERY, set(parameters) - left_to_the_caller
    found += [f"`{key}` is no argument of {target}" for key in sorted(keys - wanted)]
    found += [f"argument `{key}` of {target} is not listed" for key in sorted(wanted - keys)]
    for key in sorted(keys & wanted):
        value, default = node[key], parameters[key].default
        shared = isinstance(value, str) and (value == "${seed}" or value.startswith("${paths."))
        nested = isinstance(value, dict) and "_target_" in value
        if not (shared or nested) and default is not inspect.Parameter.empty and plain(default) != value:
            found.append(f"`{key}` is {value!r} here and {default!r} in {target}")
    return found


def test_settings_were_found():
    assert FILES, f"no settings in {CONF}"
    assert (CONF / "config.yaml").is_file()


@pytest.mark.parametrize("path", FILES, ids=short)
def test_yaml_equals_the_constructor(path: Path):
    group, content = path.parent.name, read(path)
    assert "_target_" in content, f"{short(path)} names no _target_"
    assert [fault for node in targets(content) for fault in disagreements(node, ROOM_OF.get(group, group))] == []


@pytest.mark.parametrize("path", FILES, ids=short)
def test_yaml_instantiates(path: Path):
    group, name = path.parent.name, path.stem
    made = instantiate(composed("config", f"{group}={name}")[group])
    wanted = get_object(read(path)["_target_"])
    assert getattr(made, "func", made) is wanted or not isinstance(wanted, type) or isinstance(made, wanted)


@pytest.mark.parametrize("path", FILES, ids=short)
def test_group_is_named_like_the_package(path: Path):
    package = bundled("conf").parent / "edukit"
    room = ROOM_OF.get(path.parent.name, path.parent.name)
    assert any((package / f"{room}{end}").exists() for end in ("", ".py")), f"no package edukit.{room}"


@pytest.mark.parametrize("path", [*FILES, *EXPERIMENTS], ids=short)
def test_only_seed_and_paths_cross_groups(path: Path):
    for expression in INTERPOLATION.findall(path.read_text(encoding="utf-8")):
        in_main = path == CONF / "config.yaml" and expression == "oc.env"
        allowed = expression == "seed" or expression.startswith("paths.") or in_main
        assert allowed, f"${{{expression}}} in {short(path)}: a group may refer to ${{seed}} and ${{paths.*}} only"


PAPERS = sorted(CONF.glob("experiment/*.yaml"))
PAPER = {
    "name": str, "runs": str, "found": dict, "others": list, "data_access": str, "quick": dict,
    "cite": {"authors": str, "title": str, "venue": str, "year": int, "url": str},
    "published": {"metric": str, "number": float, "protocol": str, "source": str, "verified": bool, "checked": str, "leak": str},
    "expected_here": {"low": float, "high": float, "why": str}, "cost": {"minutes": int, "memory_mb": int},
}  # every field of `paper`, and what it holds


def misfits(node: dict[str, Any], fields: dict[str, Any], place: str = "paper") -> list[str]:
    """Fields that are absent, unknown, empty or of another type."""
    found = [f"{place}.{key} is {'absent' if key in fields else 'unknown'}" for key in sorted(set(node) ^ set(fields))]
    for key in sorted(set(node) & set(fields)):
        wanted, value = fields[key], node[key]
        if isinstance(wanted, dict):
            found += misfits(value, wanted, f"{place}.{key}") if isinstance(value, dict) else [f"{place}.{key} must hold {', '.join(wanted)}"]
        elif type(value) is not wanted or (wanted is str and not value.strip()):
            found.append(f"{place}.{key} must be a {wanted.__name__}; found {value!r}")
    return found


def test_papers_were_found():
    authors = {path.stem.split("_")[0] for path in PAPERS}
    assert {"piech2015", "zhang2017", "pandey2019", "ghosh2020", "liu2023", "nakagawa2019", "gervet2020", "liang2018"} <= authors


@pytest.mark.parametrize("path", PAPERS, ids=short)
def test_paper_holds_every_field(path: Path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# @package _global_" and lines[1].startswith("# "), f"{short(path)} must begin with its package, then what it is"
    paper = read(path)["paper"]
    assert misfits(paper, PAPER) == []
    assert paper["name"] == path.stem and path.stem.startswith(f"{paper['cite']['authors'].split(',')[0].lower()}{paper['cite']['year']}_")
    assert 0 < paper["expected_here"]["low"] < paper["expected_here"]["high"] < 1 and 0 < paper["published"]["number"] < 1
    assert "edukit data fetch" in paper["data_access"] and "edukit data card" in paper["data_access"]
    unknown = {key for wanted in (paper["found"], *paper["others"]) for key in wanted} - {"model", "split", "group"}
    assert not unknown, f"{short(path)}: found and others name a model, split or group; found {unknown}"


@pytest.mark.parametrize("path", PAPERS, ids=short)
def test_paper_composes_onto_its_experiment_and_its_quick_variant_needs_no_file(path: Path):
    from edukit.experiments import reproduce

    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("reproduce", [f"experiment={path.stem}"])
    assert cfg.experiment == "reproduce" and cfg.paper.runs in reproduce.RUNS
    assert path.stem.split("_")[-1] in cfg.data._target_.lower()
    quick = reproduce.quickened(cfg)
    assert instantiate(quick.data).invented and instantiate(quick.data).files(Path()) == []
    assert set(cfg.paper.quick) <= set(cfg), f"{short(path)}: quick sets {sorted(set(cfg.paper.quick) - set(cfg))}, which no run reads"
    for group in ("tracing", "graph"):
        assert set(quick[group]) == set(cfg[group]) or "_target_" in cfg.paper.quick[group], f"{short(path)}: quick misspells an argument of {group}"
        instantiate(quick[group])


def test_a_planted_misfit_of_a_paper_is_found():
    paper = read(PAPERS[0])["paper"]
    del paper["cite"]["year"]
    assert misfits({**paper, "cots": 1, "runs": " "}, PAPER) == ["paper.cots is unknown", "paper.cite.year is absent", "paper.runs must be a str; found ' '"]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=short)
def test_experiment_composes(path: Path):
    cfg = composed(path.stem) if path.parent == CONF else composed("config", f"experiment={path.stem}")
    assert "seed" in cfg and "paths" in cfg


class Planted:
    def __init__(self, rate: float = 0.1, seed: int = 0, sizes: tuple[int, ...] = (1, 2)):
        pass


class Greedy:
    def __init__(self, rate: float = 0.1, **options: float):
        pass


def test_planted_disagreements_are_found(monkeypatch: pytest.MonkeyPatch):
    classes = {"edukit.tracing.Planted": Planted, "edukit.tracing.Greedy": Greedy}
    monkeypatch.setitem(globals(), "get_object", classes.__getitem__)
    good = {"_target_": "edukit.tracing.Planted", "rate": 0.1, "seed": "${seed}", "sizes": [1, 2]}
    assert disagreements(good, "tracing") == []
    assert disagreements(good, "gaps") == ["_target_ edukit.tracing.Planted must lie in edukit.gaps"]
    assert disagreements({**good, "rate": 0.2}, "tracing") == ["`rate` is 0.2 here and 0.1 in edukit.tracing.Planted"]
    assert disagreements({**good, "rat": 1}, "tracing") == ["`rat` is no argument of edukit.tracing.Planted"]
    assert disagreements({"_target_": "edukit.tracing.Planted", "rate": 0.1, "seed": 0}, "tracing")[0].startswith("argument `sizes`")
    assert "takes **options" in disagreements({"_target_": "edukit.tracing.Greedy", "rate": 0.1}, "tracing")[0]
