"""A ledger in the hands of several processes: one is killed in the middle, two write at once; nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

from edukit.grading.ledger import Ledger

WRITER = """
import sys
from edukit.grading.ledger import Ledger
ledger, name = Ledger(sys.argv[1]), sys.argv[2]
for n in range(int(sys.argv[3])):
    grades = [{"kind": "grade", "answer_id": f"{name}{n}", "question_id": "q", "criterion_id": one, "score": n % 4, "decided_by": "model", "text": "x" * 500,
               "learner_id": f"{name}{n}"} for one in ("a", "b")]
    print(*ledger.append(grades), flush=True)
"""


def start(path, name, times) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(times)], stdout=subprocess.PIPE, text=True, env=os.environ)


def test_a_killed_process_loses_no_grade_that_was_acknowledged(tmp_path):
    path, draw, acknowledged = tmp_path / "l.sqlite", random.Random(3), 0
    for attempt in range(3):
        with start(path, f"p{attempt}-", 10**6) as child:
            lines = [child.stdout.readline()]
            time.sleep(draw.uniform(0.05, 0.4))
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.read().splitlines()
        numbers = [int(number) for line in lines if len(line.split()) == 2 for number in line.split()]
        ledger = Ledger(path)
        assert ledger.verify().empty, ledger.verify()["fault"].tolist()
        kept = ledger.current()
        mine = kept[kept["answer_id"].str.startswith(f"p{attempt}-")]
        assert len(numbers) <= len(mine) <= len(numbers) + 2 and len(mine) % 2 == 0, "a commit is whole or absent"
        assert set(numbers) <= set(ledger.standing()["entry_id"])
        acknowledged += len(numbers)
    assert acknowledged > 10 and sorted(file.name for file in tmp_path.iterdir()) == ["l.sqlite", "l.sqlite.head"]


def test_two_writers_at_once_make_one_chain(tmp_path):
    path = tmp_path / "l.sqlite"
    children = [start(path, name, 25) for name in ("one", "two")]
    numbers = [int(number) for child in children for number in child.communicate()[0].split()]
    assert [child.returncode for child in children] == [0, 0]
    ledger = Ledger(path)
    assert ledger.verify().empty and ledger.head()[0] == 150 and len(set(numbers)) == 100 == len(ledger.current())
