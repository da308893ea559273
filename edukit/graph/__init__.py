"""The concept graph: which concept depends on which, who says so, and what the responses say.

An edge from a prerequisite to a concept claims that the concept is rarely mastered where the prerequisite is not.
"""
