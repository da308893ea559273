"""Fixtures for every test: where real data lies, a cache of our own, one thread per process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are imported: two workers share two cores, and sums keep their order

import pytest  # noqa: E402

REPOSITORY = Path(__file__).resolve().parent.parent

# Imports every module of edukit and of its experiments, runs the examples in their docstrings, and exits with 1 if one failed.
IMPORT_EVERYTHING = """
import doctest, importlib, pkgutil, sys, traceback
import edukit

names = ["edukit"]
for folder, prefix in ((edukit.__path__[0], "edukit."), (*importlib.import_module("edukit.experiments").__path__, "edukit.experiments.")):
    walk = lambda folder, prefix: [(n.name, n.ispkg) for n in pkgutil.iter_modules([folder], prefix)]
    for name, is_package in walk(folder, prefix):
        names.append(name)
        if is_package and name != "edukit.experiments":
            names += [inside for inside, _ in walk(f"{folder}/{name.removeprefix(prefix)}", f"{name}.")]
failed = 0
for name in names:
    try:
        module = importlib.import_module(name)
        failed += doctest.testmod(module).failed
    except Exception:
        failed += 1
        print(f"{name} does not import\\n{traceback.format_exc(limit=-2)}")
print(len(names), "modules")
sys.exit(bool(failed))
"""


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def import_everything() -> str:
    """A program, for a fresh interpreter, that imports every module and runs its docstring examples."""
    return IMPORT_EVERYTHING


@pytest.fixture(scope="session")
def edukit_data() -> Path:
    """Root of the real data sets, from the environment variable ``EDUKIT_DATA``."""
    root = os.environ.get("EDUKIT_DATA")
    if not root:
        pytest.skip("needs real data: set EDUKIT_DATA to the folder that holds it (`edukit data list` says how to obtain each set)")
    if not Path(root).is_dir():
        pytest.skip(f"needs real data: EDUKIT_DATA is {root}, which is not a folder")
    return Path(root)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium for browser tests: ``EDUKIT_CHROMIUM`` or the system's."""
    names = (os.environ.get("EDUKIT_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs a browser: no Chromium on the PATH, and EDUKIT_CHROMIUM names none")
    return found


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Tests neither read nor write the user's cache and outputs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("EDUKIT_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data_home")))  # raw files that a developer has fetched are not found
        patch.delenv("EDUKIT_TRACKING", raising=False)
        patch.setenv("MPLBACKEND", "Agg")
        yield
