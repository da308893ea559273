"""What README and CONTRIBUTING point to is there: files, experiments, notebooks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edukit.reproducibility import bundled

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_to_one(page):
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert page != "README.md" or len(links) > 5


@pytest.mark.parametrize("page", PAGES)
def test_every_experiment_and_notebook_that_is_named_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    experiments = set(re.findall(r"edukit run (?:-m )?([a-z_]+)", text)) | set(re.findall(r"experiment=([a-z0-9_]{8,})", text))
    known = {path.stem for path in (*bundled("conf").glob("*.yaml"), *bundled("conf").glob("experiment/*.yaml"))}
    assert experiments - known == set()
    modules = set(re.findall(r"python -m edukit\.experiments\.([a-z_]+)", text))
    assert {name for name in modules if not (bundled("experiments") / f"{name}.py").is_file()} == set()
    notebooks = set(re.findall(r"`(\d\d_[a-z_]+)`", text))
    assert {name for name in notebooks if not (bundled("notebooks") / f"{name}.ipynb").is_file()} == set()
