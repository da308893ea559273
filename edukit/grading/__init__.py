"""Grading: a written answer scored against a rubric by a model that says how sure it is, and decided on by a teacher.

A *rubric* (:mod:`edukit.grading.rubric`) says what is looked for: criteria, levels and key elements. A *grader* scores answers by it, per criterion,
with quoted spans. What it is not sure of is left to a person. Every score, decision, appeal and regrade stays in a *ledger*
(:mod:`edukit.grading.ledger`) that only grows and shows where it was tampered with.
"""
