"""Tracing: what each learner knows of each concept, estimated from their responses, with its uncertainty.

Models are built by ``conf/tracing/*.yaml`` and follow :mod:`edukit.protocols`. Import a model from its own module, so that
looking at one does not load torch for another.
"""
