"""How good links were, as Zoom's own word shows it later. Pure."""

from __future__ import annotations

from math import exp, lgamma, log
from typing import NamedTuple

CONFIDENCE = 0.95
STEPS = 60  # of halving the interval: more than a float can tell


class Accuracy(NamedTuple):
    """Links in one state that Zoom stated later, and how many of them named another occurrence."""

    state: str
    links: int
    wrong: int

    @property
    def bound(self) -> float:
        """The share that is wrong is below this, with 95 % confidence."""
        return upper_bound(self.wrong, self.links)

    @property
    def says(self) -> str:
        """In words."""
        links = "link" if self.links == 1 else "links"
        return (
            f"of {self.links:,} {links} later stated by Zoom, {self.wrong:,} {'was' if self.wrong == 1 else 'were'} "
            f"wrong; with 95 % confidence fewer than {self.bound:.1%} are"
        )


def upper_bound(wrong: int, links: int, confidence: float = CONFIDENCE) -> float:
    """The exact upper bound of a share of which `wrong` of `links` were seen (Clopper and Pearson, one-sided)."""
    if wrong >= links:
        return 1.0
    low, high = wrong / links, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _at_most(wrong, links, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(wrong: int, links: int, share: float) -> float:
    """How probable it is to see at most so many wrong ones where this is the share."""
    if share >= 1.0:
        return 0.0
    terms = (
        lgamma(links + 1) - lgamma(k + 1) - lgamma(links - k + 1) + (k * log(share) if k else 0.0)
        + (links - k) * log(1 - share)
        for k in range(wrong + 1)
    )  # fmt: skip
    return sum(exp(term) for term in terms)
