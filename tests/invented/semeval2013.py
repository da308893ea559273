"""SemEval-2013 task 7 as its archive: both corpora in both ways of grading, a question again among unseen answers, several reference answers, an empty one,
escaped signs, attributes that only one corpus has."""

import zipfile
from pathlib import Path

QUESTION = ('<?xml version="1.0"?>\n<question id="{id}" module="{module}"{more}>\n  <questionText>Why is 2 &lt; 3 &amp; so on?</questionText>\n'
            "  <referenceAnswers>\n{references}  </referenceAnswers>\n  <studentAnswers>\n{answers}  </studentAnswers>\n</question>\n")
REFERENCES = {"sciEntsBank": '    <referenceAnswer id="{id}-a1">Because of 10^n)</referenceAnswer>\n',
              "beetle": '    <referenceAnswer category="BEST" id="answer1" fileID="F1">connected</referenceAnswer>\n'
                        '    <referenceAnswer category="MINIMAL" id="answer2" fileID="NONE">not  separated</referenceAnswer>\n'
                        '    <referenceAnswer category="GOOD" id="answer3" fileID="NONE"></referenceAnswer>\n'}
PLACES = {"training/{way}/{corpus}": ("EM_45b",), "test/{way}/{corpus}/test-unseen-answers": ("EM_45b",),
          "test/{way}/{corpus}/test-unseen-questions": ("ME_7a",), "test/{way}/{corpus}/test-unseen-domains": ("WA_1",)}


def documents() -> dict[str, str]:
    """Path inside the archive -> text."""
    found = {}
    for way, labels in (("3way", ("correct", "contradictory", "incorrect")), ("2way", ("correct", "incorrect", "incorrect"))):
        for corpus, more in (("sciEntsBank", ""), ("beetle", ' qtype="Q_EXPLAIN" stype="EVALUATE"')):
            for place, ids in PLACES.items():
                if corpus == "beetle" and place.endswith("domains"):
                    continue
                folder = place.format(way=way, corpus=corpus)
                for name in ids:
                    extra = ' count="7" answerMatch="answer1"' if corpus == "beetle" else ""
                    part = folder.rpartition("-")[2]
                    answers = "".join(f'    <studentAnswer{extra} id="{name}.{part}.{n}" accuracy="{label}">  it is\n{n} </studentAnswer>\n'
                                      for n, label in enumerate(labels))
                    found[f"{folder}/{name}.xml"] = QUESTION.format(id=name, module=name[:2], more=more, answers=answers,
                                                                    references=REFERENCES[corpus].format(id=name))
    return found


def write(place: Path, variant: str) -> None:
    with zipfile.ZipFile(place / "semeval-3way.zip", "w") as archive:
        for name, text in documents().items():
            archive.writestr(name, text)
