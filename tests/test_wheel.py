"""The wheel, in an empty environment and far from the checkout, does what the checkout does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

NOT_A_USERS = ("PYTHONPATH", "VIRTUAL_ENV", "EDUKIT_OUTPUTS", "EDUKIT_TRACKING")
UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


def call(*command: str | Path, cwd: Path, minutes: float = 10, **more: str) -> str:
    """Run a command as a user would and return what it printed; a failure shows everything it said."""
    env = {key: value for key, value in os.environ.items() if key not in NOT_A_USERS} | more
    if "PIP_FIND_LINKS" in env:
        env.setdefault("UV_FIND_LINKS", env["PIP_FIND_LINKS"])
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=60 * minutes)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build: Sequence[str | Path] = [UV, "build", "--quiet"] if UV else [sys.executable, "-m", "build"]
    call(*build, "--wheel", "--out-dir" if UV else "--outdir", folder, ".", cwd=repository)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def environment(wheel: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of a new environment that holds the wheel, without extras, and nothing of the checkout."""
    place = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", *(["--without-pip"] if UV else []), "new", cwd=place)
    python = place / "new" / "bin" / "python"
    install: Sequence[str | Path] = [UV, "pip", "install", "--python", python] if UV else [python, "-m", "pip", "install"]
    call(*install, "--quiet", "-c", repository / "constraints.txt", wheel, cwd=place, minutes=20)
    return python.parent


def test_the_wheel_keeps_to_its_own_name(wheel: Path, repository: Path):
    names = zipfile.ZipFile(wheel).namelist()
    assert sorted({name.split("/")[0] for name in names}) == ["edukit", wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"]
    for folder in ("edukit", "experiments", "conf", "data_cards", "notebooks"):
        ours = {path.relative_to(repository).as_posix() for path in (repository / folder).rglob("*") if path.is_file()}
        ours = {name if folder == "edukit" else f"edukit/{name}" for name in ours if "__pycache__" not in name and "/." not in name}
        assert ours and ours <= set(names), f"the wheel lacks {sorted(ours - set(names))}"
    assert not [name for name in names if name.startswith("edukit/tests/") or name.endswith(".pyc")]


def test_the_main_job_runs_far_from_the_checkout(environment: Path, tmp_path: Path):
    printed = call(environment / "edukit", "run", "map_gaps", cwd=tmp_path, EDUKIT_CACHE=str(tmp_path / "cache"), HOME=str(tmp_path))
    report = Path(printed.strip().splitlines()[-1].strip())
    report = report if report.is_absolute() else tmp_path / report
    assert report.name == "run_report.json" and report.is_file()
    assert report.is_relative_to(tmp_path / "outputs"), "by default outputs lie in ./outputs"
    assert list(report.parent.glob("*map*.html")), f"no map beside the report: {sorted(path.name for path in report.parent.iterdir())}"


def test_every_module_of_the_wheel_imports(environment: Path, tmp_path: Path, import_everything: str):
    call(environment / "python", "-c", import_everything, cwd=tmp_path, EDUKIT_CACHE=str(tmp_path / "cache"))


def test_models_are_listed(environment: Path, tmp_path: Path, repository: Path):
    printed = call(environment / "edukit", "models", "list", cwd=tmp_path)
    assert [path.stem for path in (repository / "conf" / "tracing").glob("*.yaml") if path.stem not in printed] == []
