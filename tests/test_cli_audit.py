"""`edukit audit leakage` in a real process: a sound model passes, a planted leak ends with exit code 1."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd

LEAKY = '''
import pandas as pd

class Leaky:
    """Predicts each response from the mean of all answers of its learner."""

    def fit(self, interactions, graph):
        return self

    def predict(self, interactions):
        return interactions.groupby("learner_id")["correct"].transform("mean")

    def save(self, path):
        path.write_text("nothing fitted")
'''


def audit(*words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "edukit.cli", "audit", "leakage", *words], env=dict(os.environ), capture_output=True, text=True, timeout=300,
                          **options)


def test_a_sound_model_passes_and_a_leaky_adapter_does_not(tmp_path):
    (tmp_path / "mine.py").write_text(LEAKY)
    sound = audit("irt", "--learners", "60", cwd=tmp_path)
    assert sound.returncode == 0 and "0 of 4 show a leak" in sound.stdout
    leaky = audit("mine.py:Leaky", "--learners", "60", cwd=tmp_path)
    assert leaky.returncode == 1
    assert "LEAK     later rows" in leaky.stdout


def test_a_csv_of_somebody_elses_predictions(tmp_path):
    rng = np.random.default_rng(1)
    answers = np.repeat((rng.random(2000) < 0.6).astype(float), 2)
    table = pd.DataFrame({"learner_id": np.repeat(np.arange(40), 100), "item_id": np.repeat(np.arange(2000) % 50, 2), "correct": answers})
    table.assign(probability=table.groupby("learner_id")["correct"].shift(fill_value=0.5)).to_csv(tmp_path / "theirs.csv", index=False)
    found = audit("--predictions", "theirs.csv", cwd=tmp_path)
    assert found.returncode == 1 and "LEAK     one row each" in found.stdout


def test_what_is_wrong_is_said_in_a_line(tmp_path):
    for words, told in (((), "either a MODEL or --predictions"), (("nothing",), "MODEL must be one of"), (("no.py:Model",), "found no no.py"),
                        (("--predictions", "no.csv"), "found no no.csv"), (("irt", "--data", "ucd_none"), "data must be one of")):
        found = audit(*words, cwd=tmp_path)
        assert found.returncode == 2 and told in found.stderr and "Traceback" not in found.stderr, found.stderr
