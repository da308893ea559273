"""EdNet KT1: one file a learner, rows not in the order of time, two at one instant, no option chosen, a question not listed, tag -1, no seconds."""

from pathlib import Path


def write(place: Path, variant: str) -> None:
    (place / "contents").mkdir()
    (place / "KT1").mkdir()
    (place / "contents" / "questions.csv").write_text(
        "question_id,bundle_id,explanation_id,correct_answer,part,tags,deployed_at\nq1,b1,e1,b,1,1;2;179,1558093217098\nq2,b2,e2,a,5,-1,-1\nq3,b2,e2,d,5,2;2,1558093217098\n")
    header = "timestamp,solving_id,question_id,user_answer,elapsed_time\n"
    (place / "KT1" / "u7.csv").write_text(
        header + "1965332027449,1,q1,b,38000\n1965332000000,2,q3,c,-5\n1965332000000,2,q2,a,24000\n1965332900000,3,q1,,1000\n")
    (place / "KT1" / "u10.csv").write_text(header + "1965332027449,1,q99999,b,38000\n1965332027450,1,q2,c,nan_ms\n")
