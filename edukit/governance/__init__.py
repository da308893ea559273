"""Governance: what may be published about learners, who agreed to it, and whether it is fair.

``privacy`` holds pseudonyms and the small-cell gate, ``consent`` the removal of a learner, ``fairness`` the audit by group.
"""
