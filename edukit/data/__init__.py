"""Data: loaders turn a publisher's files into the validated tables of :mod:`edukit.schema`.

A dataset is one yaml in ``conf/data``, one card in ``data_cards``, and a loader where the publisher's format is new.
:func:`edukit.data.store.load` returns its tables as :class:`LearningData`.
"""

from edukit.data.loader import LearningData

__all__ = ["LearningData"]
