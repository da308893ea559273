"""Experiments: each is ``run(cfg) -> RunReport``, driven by Hydra from the command line and by ``recipe.start`` from Python."""
