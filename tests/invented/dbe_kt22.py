"""DBE-KT22: the part (concepts joined by underscores, a question met twice, a concept that no question asks) and the publisher's tables
(a BOM, times with and without fractions, an end before its start, no hint recorded, wording with tags, commas and line breaks, two studies)."""

from pathlib import Path

PART = {
    "interactions_valid_test.csv": "split,student_id,order,t,question_id,kc_ids,correct\n"
                                   "valid,1400,0,0,12,10_2,1\nvalid,1400,1,0,7,2,0\nvalid,1400,2,0,12,10_2,1\n"
                                   "test,4,0,0,7,2,1\n",
    "KC_Relationships_mapped.csv": "from_knowledgecomponent_id,to_knowledgecomponent_id\n1,2\n2,10\n1,10\n1,2\n",
}
FULL = {
    "Transaction.csv":
        "id,selection_change,start_time,end_time,difficulty_feedback,trust_feedback,answer_state,answer_text,student_id,hint_used,question_id,answer_choice_id,"
        "is_hidden\n"
        "3,0,2021-08-02T09:00:00Z,2021-08-02T09:00:41Z,1,2,true,,8,false,7,71,false\n"
        "1,2,2021-08-01T09:00:00.250Z,2021-08-01T09:01:00.250Z,0,,false,,8,true,7,70,false\n"
        "2,1,2021-08-01T19:00:00+10:00,2021-08-01T08:00:00Z,,,true,,9,,12,80,true\n",
    "KC_Relationships.csv": "id,from_knowledgecomponent_id,to_knowledgecomponent_id\n1,1,2\n2,2,10\n",
    "KCs.csv": 'id,name,description\n1,Relation,\n2,"Key, ^n)","A set of attributes,\nminimal"\n10,,\n',
    "Question_KC_Relationships.csv": "id,question_id,knowledgecomponent_id\n1,7,2\n2,12,2\n3,12,10\n4,12,10\n",
    "Questions.csv": 'id,question_rich_text,question_title,explanation,hint_text,question_text,difficulty\n7,<p>Which?</p>,Keys,,,"Which, of\nthese?",1\n'
                     "12,<p/>,Joins,,,,2\n",
    "Question_Choices.csv": "id,choice_text,is_correct,question_id\n70,a,false,7\n71,b,true,7\n80,c,true,12\n81,d,true,12\n82,e,false,12\n",
    "Student_Specialization.csv": "id,student_id,specialization_id\n1,8,3\n2,8,5\n",
}


def write(place: Path, variant: str) -> None:
    for name, text in (PART if variant == "part" else FULL).items():
        (place / name).write_text(text, encoding="utf-8-sig" if variant == "full" else "utf-8")
