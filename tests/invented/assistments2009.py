"""ASSISTments 2009 in its three forms; the raw one has a BOM, a response of two skills, a scaffold, a skill without id and one without name."""

import json
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, save_npz


def write(place: Path, variant: str) -> None:
    {"lpp": lpp, "akt": akt, "raw": raw}[variant](place)


def lpp(place: Path) -> None:
    header = "user_id\titem_id\ttimestamp\tcorrect\tskill_id\n"
    (place / "preprocessed_data_train.csv").write_text(header + "0\t0\t0\t1\t5\n0\t1\t0\t0\t5\n")
    (place / "preprocessed_data_test.csv").write_text(header + "9\t1\t0\t1\t6\n")
    save_npz(place / "q_mat.npz", csr_matrix(np.array([[1, 0], [1, 1]])))


def akt(place: Path) -> None:
    for fold in range(1, 6):
        (place / f"assist2009_pid_test{fold}.csv").write_text(f"{fold}\n4,4,5\n1,2,1\n1,1,0\n")
    for name, ids in (("skill", {"Box and Whisker": 1, "10^n)": 2}), ("problems", {"51424": 4, "51435": 5}), ("user", {"64525": 1})):
        (place / f"{name}.json").write_text(json.dumps(ids))


def raw(place: Path) -> None:
    (place / "skill_builder_data.csv").write_text(
        "order_id,user_id,problem_id,original,correct,skill_id,skill_name,ms_first_response,hint_count,answer_text\n"
        "12,7,51,1,0,3,Mean,25390,2,88\n12,7,51,1,0,4,10^n),25390,2,88\n11,7,52,1,1,,,-5,0,\n13,7,53,0,1,3,Mean,900,0,x\n14,8,54,1,1,9,,900,0,'1'\n",
        encoding="utf-8-sig")
