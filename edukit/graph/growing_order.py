"""An order of concepts that is kept up as claims are added one by one, so that a claim that would close a circle is known at once."""

from __future__ import annotations

from collections.abc import Callable


class GrowingOrder:
    """Concepts in an order that no accepted claim runs against; it takes the place of a table of what can be reached from where.

    A new claim that agrees with the order costs nothing; otherwise only the concepts that stand between its two ends are looked at.

    References
    ----------
    Pearce & Kelly (2006), ACM Journal of Experimental Algorithmics 11.

    Examples
    --------
    >>> order = GrowingOrder()
    >>> [order.add("a", "b"), order.add("b", "c"), order.add("c", "a"), order.add("a", "c")]
    [True, True, False, True]
    """

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._before: dict[str, set[str]] = {}
        self._after: dict[str, set[str]] = {}

    def _known(self, concept: str) -> int:
        if concept not in self._place:
            self._place[concept] = len(self._place)
            self._before[concept], self._after[concept] = set(), set()
        return self._place[concept]

    def add(self, prerequisite: str, concept: str) -> bool:
        """Take the claim, unless it would close a circle; whether it was taken."""
        first, last = self._known(prerequisite), self._known(concept)
        if first == last:
            return False
        if first > last:
            later = self._reached(concept, self._after, lambda place: place <= first)
            if prerequisite in later:
                return False
            earlier = self._reached(prerequisite, self._before, lambda place: place >= last)
            moved = [*sorted(earlier, key=self._place.__getitem__), *sorted(later, key=self._place.__getitem__)]
            places = sorted(self._place[one] for one in moved)
            self._place.update(zip(moved, places, strict=True))
        self._after[prerequisite].add(concept)
        self._before[concept].add(prerequisite)
        return True

    def _reached(self, start: str, along: dict[str, set[str]], within: Callable[[int], bool]) -> set[str]:
        """``start``, and what is reached from it without leaving the places that are ``within``."""
        found, rest = {start}, [start]
        while rest:
            fresh = [one for one in along[rest.pop()] if one not in found and within(self._place[one])]
            found.update(fresh)
            rest += fresh
        return found
