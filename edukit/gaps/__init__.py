"""Gaps: where a cohort is stuck, with how many learners that rests on and how sure it is.

A *cell* is one class and one concept; a cell is *stuck* when its mean mastery lies below the fail mark with high probability.
"""
