"""Recommend: what a learner should do next, why, and whether a policy helps.

A *policy* chooses a concept and an item of it. A concept is *ready* where the learner most likely knows what it requires; *open* where it is
ready and not mastered: the zone of proximal development, as far as a graph and responses can tell. A *world* is a simulator in which a policy
can be tried; the *value* of a policy is what a log of another policy says of it.
"""
