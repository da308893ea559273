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
NO_ROOM = {"experiment", "hydra", "paths", "sweep"}  # groups of settings that are no package's
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
    assert [fault for node in targets(content) for fault in disagreements(node, group)] == []


@pytest.mark.parametrize("path", FILES, ids=short)
def test_yaml_instantiates(path: Path):
    group, name = path.parent.name, path.stem
    made = instantiate(composed("config", f"{group}={name}")[group])
    wanted = get_object(read(path)["_target_"])
    assert getattr(made, "func", made) is wanted or not isinstance(wanted, type) or isinstance(made, wanted)


@pytest.mark.parametrize("path", FILES, ids=short)
def test_group_is_named_like_the_package(path: Path):
    package = bundled("conf").parent / "edukit"
    assert any((package / f"{path.parent.name}{end}").exists() for end in ("", ".py")), f"no package edukit.{path.parent.name}"


@pytest.mark.parametrize("path", [*FILES, *EXPERIMENTS], ids=short)
def test_only_seed_and_paths_cross_groups(path: Path):
    for expression in INTERPOLATION.findall(path.read_text(encoding="utf-8")):
        in_main = path == CONF / "config.yaml" and expression == "oc.env"
        allowed = expression == "seed" or expression.startswith("paths.") or in_main
        assert allowed, f"${{{expression}}} in {short(path)}: a group may refer to ${{seed}} and ${{paths.*}} only"


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
