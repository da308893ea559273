"""Evaluation: honest numbers with their spread, the proof that nothing leaked, and the record of a run."""

from edukit.evaluation.run_report import RunReport

__all__ = ["RunReport"]
