"""A file from elsewhere is data, never a program: nothing in edukit loads a pickle, runs text, or unpacks without looking."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

RUNS_CODE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "jsonpickle"}
LOADING = {"load", "loads", "Unpickler", "open"}
FORBIDDEN = {"read_pickle", "unpack_archive", "load_from_checkpoint", "unsafe_load", "full_load"}
UNPACKING = {"extractall", "extract"}


def _says(call: ast.Call, keyword: str) -> object:
    """Constant value of a keyword of a call; None where it is left out, ... where it is worked out."""
    given = next((k.value for k in call.keywords if k.arg == keyword), None)
    return None if given is None else given.value if isinstance(given, ast.Constant) else ...


def faults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and reason of everything that could run what a file says."""
    modules = {alias.asname or alias.name.split(".")[0]: alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names = {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in RUNS_CODE:
            yield from ((node.lineno, f"imports {node.module}.{alias.name}") for alias in node.names if alias.name in LOADING | {"*"})
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in ("eval", "exec", "__import__"):
            yield node.lineno, f"calls {function.id}"
        attribute = function.attr if isinstance(function, ast.Attribute) else names.get(getattr(function, "id", ""), "").rpartition(".")[2]
        owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else names.get(getattr(function, "id", ""), "").rpartition(".")[0]
        module = modules.get(owner, names.get(owner, owner)).split(".")[0]
        if attribute in LOADING and module in RUNS_CODE:
            yield node.lineno, f"calls {module}.{attribute}"
        if attribute in FORBIDDEN:
            yield node.lineno, f"calls {attribute}"
        if attribute in UNPACKING and not owner.endswith(".str"):
            yield node.lineno, f"calls {attribute}: use edukit.formats.archive.unpack"
        if attribute == "load" and module == "torch" and _says(node, "weights_only") is not True:
            yield node.lineno, "calls torch.load without weights_only=True"
        if attribute == "load" and module == "yaml" and "Safe" not in ast.unparse(node):
            yield node.lineno, "calls yaml.load without a safe loader"
        if _says(node, "allow_pickle") not in (None, False):
            yield node.lineno, "allows pickles"


def sources(root: Path) -> list[Path]:
    return sorted(path for folder in ("edukit", "experiments") for path in (root / folder).rglob("*.py"))


def test_nothing_loads_a_pickle_or_runs_a_text(repository: Path):
    assert len(sources(repository)) > 20
    found = [f"{path.relative_to(repository)}:{line} {reason}" for path in sources(repository) for line, reason in faults(ast.parse(path.read_text("utf-8")))]
    assert found == []


@pytest.mark.parametrize(
    "text",
    ["import pickle\npickle.load(f)", "import pickle as p\np.loads(b)", "from pickle import loads", "from pickle import loads as read\nread(b)",
     "import pickle\npickle.Unpickler(f).load()", "import joblib\njoblib.load('x')", "from joblib import load", "import shelve\nshelve.open('x')",
     "import pandas as pd\npd.read_pickle('x')", "from pandas import read_pickle\nread_pickle('x')", "import numpy as np\nnp.load('x', allow_pickle=True)",
     "np.load('x', allow_pickle=given)", "import torch\ntorch.load('x')", "import torch\ntorch.load('x', weights_only=False)",
     "import torch\ntorch.load('x', weights_only=given)", "from torch import load\nload('x')", "eval('1')", "exec(text)", "import yaml\nyaml.load(text)",
     "import yaml\nyaml.unsafe_load(text)", "archive.extractall(place)", "archive.extract(member, place)", "import shutil\nshutil.unpack_archive('x')",
     "from pickle import *", "Module.load_from_checkpoint('x')"],
)
def test_a_planted_fault_is_found(text: str):
    assert list(faults(ast.parse(text)))


def test_what_is_safe_is_let_through():
    for text in ("import numpy as np\nnp.load('x')", "np.load('x', allow_pickle=False)", "import torch\ntorch.load('x', weights_only=True)",
                 "import json\njson.load(f)", "import yaml\nyaml.safe_load(text)", "import yaml\nyaml.load(text, Loader=yaml.CSafeLoader)",
                 "table['x'].str.extract('(a)')", "table['x'].str.extractall('(a)')", "model.eval()", "import pickle\npickle.dumps(x)",
                 "import ast\nast.literal_eval('[1]')", "OmegaConf.load('x')"):
        assert list(faults(ast.parse(text))) == [], text
