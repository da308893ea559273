"""The benchmark of the gap page opens it, does everything once, and says what it found."""

from __future__ import annotations

import pytest
from edukit.experiments import bench_page

from edukit.schema import DataError


def test_the_invented_map_has_classes_labels_and_edges():
    gaps, concepts, prerequisites = bench_page.mapped(bench_page.invented(20), 3)
    assert set(gaps["class_id"]) == {"all", "class 1", "class 2", "class 3"} and len(concepts) == 20 and len(prerequisites)
    assert gaps["label"].notna().equals(gaps["stuck"].fillna(False).astype(bool)) and gaps.loc[gaps["state"] != "estimated", "teaching"].isna().all()
    assert set(bench_page.mapped(bench_page.invented(5), 1)[0]["class_id"]) == {"all"}


@pytest.mark.browser
@pytest.mark.parametrize("classes", [1, 3])
def test_every_interaction_is_timed(chromium, classes):
    pytest.importorskip("playwright.sync_api")
    said: list[str] = []
    bench_page.measure(bench_page.mapped(bench_page.invented(400), classes), 1, 2, said.append)
    assert [line.split("  ")[0] for line in said[4:]] == [*bench_page.INTERACTIONS, "every interaction"]
    assert "target < 2000 ms" in said[1] and "target < 200 ms" in said[-1]


def test_without_a_browser_it_says_so(monkeypatch):
    monkeypatch.setattr(bench_page.shutil, "which", lambda name: None)
    with pytest.raises(DataError, match="EDUKIT_CHROMIUM"):
        bench_page.measure(bench_page.mapped(bench_page.invented(5), 1), 1, 1, print)
