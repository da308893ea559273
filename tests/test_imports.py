"""`import edukit` is light, and every module imports; each in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["torch", "torch_geometric", "mlflow", "lightning", "hydra", "seaborn", "matplotlib", "sklearn", "sentence_transformers"]


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


HELP = "from typer.testing import CliRunner; from edukit.cli import app; assert CliRunner().invoke(app, ['--help']).exit_code == 0"


@pytest.mark.parametrize("start", ["import edukit", HELP], ids=["import", "help"])
def test_starting_is_light(start: str):
    done = fresh(f"import sys; {start}; print([name for name in {HEAVY} if name in sys.modules])")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]", f"`{start}` pulls heavy libraries: import them where they are used"


def test_every_module_imports_and_its_examples_hold(import_everything: str):
    done = fresh(import_everything)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(done.stdout.split()[-2]) > 10
