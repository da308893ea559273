"""`import edukit` is light, every module imports, each in a fresh interpreter; and every library in use is declared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

HEAVY = ["torch", "torch_geometric", "mlflow", "lightning", "hydra", "seaborn", "matplotlib", "sklearn", "sentence_transformers"]
HELP = "from typer.testing import CliRunner; from edukit.cli import app; assert CliRunner().invoke(app, ['--help']).exit_code == 0"


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("start", ["import edukit", HELP], ids=["import", "help"])
def test_starting_is_light(start: str):
    done = fresh(f"import sys; {start}; print([name for name in {HEAVY} if name in sys.modules])")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]", f"`{start}` pulls heavy libraries: import them where they are used"


def test_every_module_imports_and_its_examples_hold(import_everything: str):
    done = fresh(import_everything)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(done.stdout.split()[-2]) > 10


def libraries(folder: Path) -> dict[str, str]:
    """Top-level name of every library imported below ``folder``, and one file that imports it."""
    found: dict[str, str] = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0]: path.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.split(".")[0]] = path.name
    return {name: place for name, place in found.items() if name not in sys.stdlib_module_names and name != "edukit"}


def declared(*requirements: str) -> set[str]:
    return {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in requirements}


def test_every_library_in_use_is_declared(repository: Path):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    known = declared(*project["dependencies"], *extras["text"], *extras["bench"], *extras["causal"], *extras["privacy"])
    installed = packages_distributions()
    for name, place in (libraries(repository / "edukit") | libraries(repository / "experiments")).items():
        owners = {owner.lower().replace("_", "-") for owner in installed.get(name, [name])}
        assert owners & known, f"{place} imports {name}: add {' or '.join(sorted(owners))} to the dependencies in pyproject.toml"
