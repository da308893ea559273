"""edukit: the open research bench for learning, built around one graph of which concept depends on which."""

from pathlib import Path as _Path

__version__ = "0.1.0"

# In a checkout, `experiments/`, `conf/`, `data_cards/` and `notebooks/` lie beside this package; in the wheel they lie inside it.
# Either way they are reached under one name: `edukit.experiments`, and as files through `edukit.reproducibility.bundled`.
_checkout = _Path(__file__).resolve().parent.parent
if (_checkout / "experiments" / "recipe.py").is_file():
    __path__.append(str(_checkout))
