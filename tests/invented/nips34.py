"""Eedi tasks 3 and 4: a BOM in the subjects, NULL for the root's parent, lists in strings, a question of two leaves, one with two keys, one nobody met;
learners without a birth date or a premium flag; answer ids written as floats, one missing; contest masks in the answers."""

from pathlib import Path

SUBJECTS = ("SubjectId,Name,ParentId,Level\n3,Maths,NULL,0\n32,Number,3,1\n144,Basic Arithmetic,32,2\n33,\"Powers, 10^n)\",144,3\n"
            "42,Order of Operations,144,3\n49,Algebra,3,1\n63,Équations,49,2\n64,Linear,63,3\n")
QUESTIONS = 'QuestionId,SubjectId\n7,"[3, 32, 144, 33]"\n0,"[3, 32, 33, 42, 144]"\n9,"[3, 49, 63, 64]"\n11,"[3, 49, 63, 64]"\n'
LEARNERS = "UserId,Gender,DateOfBirth,PremiumPupil\n5,2,2007-10-01 00:00:00.000,0.0\n6,0,,\n8,1,2008-03-01 00:00:00.000,1.0\n70,3,,\n99,1,,0.0\n"
TEST = {
    "test_data/test_public_task_4_more_splits.csv":
        "QuestionId,UserId,AnswerId,IsCorrect,CorrectAnswer,AnswerValue,IsTarget_0,IsTarget_9\n7,5,1,1,2,2,0,1\n0,5,2,0,1,4,1,0\n",
    "test_data/test_private_task_4_more_splits.csv":
        "QuestionId,UserId,AnswerId,IsCorrect,CorrectAnswer,AnswerValue,IsTarget_0,IsTarget_9\n9,6,11,0,3,1,0,0\n7,6,3,0,2,3,1,1\n",
    "third_party_split/valid_task_4.csv": "QuestionId,UserId,AnswerId,IsCorrect,CorrectAnswer,AnswerValue,IsTarget\n9,8,12,1,4,4,0\n7,70,13,0,2,1,1\n",
}
FULL = {
    "train_data/train_task_3_4.csv":
        "QuestionId,UserId,AnswerId,IsCorrect,CorrectAnswer,AnswerValue\n7,5,30,1,2,2\n0,5,20,0,1,4\n7,5,21,0,2,1\n9,6,22,1,3,3\n",
    "metadata/answer_metadata_task_3_4.csv":
        "AnswerId,DateAnswered,Confidence,GroupId,QuizId,SchemeOfWorkId\n30.0,2019-11-08 11:54:00.000,,208,55,\n20.0,2019-11-08 11:54:00.000,25.0,208,55,7.0\n"
        "21.0,2019-11-07 09:00:00.000,,208,54,\n22.0,2020-01-01 00:00:00.000,,,56,\n,2020-02-02 00:00:00.000,,9,57,\n",
}


def write(place: Path, variant: str) -> None:
    files = {"metadata/subject_metadata.csv": "\ufeff" + SUBJECTS, "metadata/question_metadata_task_3_4.csv": QUESTIONS,
             "metadata/student_metadata_task_3_4.csv": LEARNERS, **(TEST if variant == "test" else FULL)}
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
