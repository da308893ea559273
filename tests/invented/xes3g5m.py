"""XES3G5M: windows padded with -1, several concepts joined with _, one learner in two windows, names that differ by a blank, no masks in the test part."""

import json
from pathlib import Path

QUESTIONS = {
    "0": {"content": "3 + 4 10^n) 數", "kc_routes": ["數----計算----加法", "數----計算----加法 "], "answer": ["7"], "options": None, "type": "填空"},
    "1": {"content": "question_1-image_0 ?", "kc_routes": ["數----圖形"], "answer": ["B"], "options": {"A": "1", "B": "2"}, "type": "單選"},
    "2": {"content": "?", "kc_routes": ["數----圖形", "應用----幾何----圖形"], "answer": [], "options": None, "type": "填空"},
}


def write(place: Path, variant: str) -> None:
    (place / "question_level").mkdir()
    (place / "metadata").mkdir()
    (place / "question_level" / "train_valid_sequences_quelevel.csv").write_text(
        "fold,uid,questions,concepts,responses,timestamps,selectmasks\n"
        '3,5,"0,1,0","0_1,2,0_1","1,0,1","1959422831000,1959422831000,1959422900000","1,1,1"\n'
        '3,5,"2,-1,-1","2,-1,-1","0,-1,-1","1959422950000,-1,-1","1,-1,-1"\n'
        '0,8,"1,0,-1","2,0_1,-1","1,1,-1","1959422831000,1959422840000,-1","1,1,-1"\n')
    (place / "question_level" / "test_quelevel.csv").write_text(
        'fold,uid,questions,concepts,responses,timestamps\n-1,9,"2,0","2,0_1","0,1","1959422831000,1959422840000"\n')
    (place / "metadata" / "questions.json").write_text(json.dumps(QUESTIONS, ensure_ascii=False), encoding="utf-8")
    names = {"0": "加法", "1": "加法 ", "2": "圖形", "3": "計算", "4": "數"}
    (place / "metadata" / "kc_routes_map.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
