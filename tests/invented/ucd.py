"""UCD: votes of three of thirteen annotators a pair, both orders of a pair, a tie, an undocumented vote 4, a positive listed twice, one that the
majority overruled, a concept without any positive; course numbers of several universities, a course with two numbers, quoted text."""

from pathlib import Path

VOTES = {  # concept_A, concept_B -> votes of three annotators
    ("Heap_(data_structure)", "Tree_(graph_theory)"): "111", ("Tree_(graph_theory)", "Heap_(data_structure)"): "223",  # both orders, agreed
    ("Tree_(graph_theory)", "Graph_10^n)"): "113",
    ("Graph_10^n)", "Compiler"): "333", ("Compiler", "Heap_(data_structure)"): "334",  # none; none with a vote that means nothing
    ("Compiler", "Tree_(graph_theory)"): "123",  # a tie
    ("Tree_(graph_theory)", "Parsing"): "222",  # another order than asked, and not listed by the publisher
    ("Compiler", "Parsing"): "331",  # overruled: listed below all the same
    ("Parsing", "Graph_10^n)"): "333", ("Graph_10^n)", "Parsing"): "221",  # contradicts itself
    ("Parsing", "Poetry"): "333",  # a concept without a positive
}


def write(place: Path, variant: str) -> None:
    head = "\t".join(["Concept_A", "Concept_B", *(f"Annotator_{i}" for i in range(1, 14))])
    lines = ["\t".join([*pair, *said, *[""] * 10]) for pair, said in VOTES.items()]
    (place / "cs_annotations.tsv").write_text("\n".join([head, *lines]) + "\n")
    first = "Heap_(data_structure),Tree_(graph_theory)\n"
    (place / "cs_preqs.csv").write_text(f"{first}Tree_(graph_theory),Graph_10^n)\nCompiler,Parsing\n{first}")
    (place / "cs_courses.csv").write_text(
        'cmu_15-415,"Trees, Heaps. A course on heaps, as ""priority queues""."\nmit_6.0002,Graphs. About graphs.\n'
        'princeton_COS  109,"Compilers. How a program is parsed."\n"caltech_Ma/CS 6",Parsing. A course.\n"iowa_CS:5850,ECE:5850",Trees. More.\n')
    (place / "cs_edges.csv").write_text("cmu_15-415,mit_6.0002\nprinceton_COS  109,caltech_Ma/CS 6\n")
