"""CausalEdu: lines end in CRLF; `{a, b}` quoted only when there are several; ids as floats; a construct without subject, one listed nowhere,
one only in the pathway; a share that nobody is in; learners without a birth month, a flag or a year."""

from pathlib import Path

FILES = {
    "construct_prerequisites_test.csv": 'ConstructId,SubjectId,PrerequisiteConstructIds\n854,33,{76}\n856,33,"{76, 480.0}"\n76,144,\n9.0,,{854}\n',
    "subject_metadata.csv": 'SubjectId,Name,ParentId,Level\n3,Maths,,0\n32,Number,3.0,1\n144,"Basic, Arithmetic",32.0,2\n33,10^n),144.0,3\n',
    "topic_pathway_metadata.csv":
        "Level,YearGroup,QuizId,QuizSequence,CheckinQuestionId,CheckoutQuestionId,QuestionSequence,ConstructId,SubjectId,SubjectName,QuestionSubjectIds\n"
        '1,6,50,1,100,200,1,854,33.0,10^n),"3,32,144,33"\n1,5,51,1,101,201,1,854,33.0,10^n),"3,32,144,33"\n2,7,51,2,100,200,2,854,33.0,10^n),"3,32,144,33"\n'
        '2,7,52,1,102,202,1,3338,,,"3,32"\n',
    "checkin_to_checkout.csv": "LessonConstructId,QuestionConstructId,n00,n01,n10,n11,Count,p010_m,k010_m\n76,854,8,38,3,30,79,0.826086957,0.775510204\n"
                               "76,856,0,0,2,2,4,,0\n",
    "construct_experiments_ates_test.csv":
        "TreatmentLessonConstructId,QuestionConstructId,Year,ControlLessonConstructIds,ControlUsersCount,TreatmentUsersCount,ate_p_1__,ate_k_1__\n"
        '76,854,7,{856},73,94,0.03,-0.02\n76,854,8,"{856, 9}",7,5,-0.6,1\n',
    "student_metadata.csv": "UserId,Gender,MonthOfBirth,IsPupilPremium,YearGroup\n"
                            "5,Male,2001-08-01,,5\n6,Unspecified,,,\n7,Female,2005-11-01,1,12\n8,Other,,0,7\n",
}


def write(place: Path, variant: str) -> None:
    for name, text in FILES.items():
        (place / name).write_bytes(text.replace("\n", "\r\n").encode("utf-8"))
