"""The bound of a share that was seen in a sample."""

from __future__ import annotations

import pytest

from schema.accuracy import Accuracy, upper_bound


@pytest.mark.parametrize(
    ("wrong", "links", "bound"),
    [(0, 1, 0.95), (0, 59, 0.0495), (0, 1000, 0.002991), (1, 100, 0.0466), (5, 100, 0.1023), (3, 3, 1.0)],
)
def test_the_bound_is_the_exact_one(wrong: int, links: int, bound: float) -> None:
    assert upper_bound(wrong, links) == pytest.approx(bound, abs=0.0002)


def test_it_is_said_in_words() -> None:
    said = "of 1,000 links later stated by Zoom, 0 were wrong; with 95 % confidence fewer than 0.3% are"
    assert Accuracy("inferred", 1000, 0).says == said
