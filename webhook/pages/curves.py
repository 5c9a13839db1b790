"""How many people were present over time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from schema.store.live import Stay

POINTS_MAX = 2000  # of the curve of an instance; more than any screen has pixels for
SPARK_POINTS = 60


class Point(NamedTuple):
    """From this moment on so many are present."""

    at: datetime
    present: int


def curve_of(stays: Iterable[Stay], until: datetime) -> list[Point]:
    """One point per change, from the first stay to `until`; thinned out evenly beyond POINTS_MAX."""
    changes: dict[datetime, int] = {}
    for stay in stays:
        changes[stay.begin] = changes.get(stay.begin, 0) + 1
        if stay.end is not None:
            changes[stay.end] = changes.get(stay.end, 0) - 1
    return curve_through(changes, until)


def curve_through(changes: Mapping[datetime, int], until: datetime) -> list[Point]:
    """`curve_of`, from how many came minus how many went at each moment."""
    points, present = list[Point](), 0
    for at in sorted(changes):
        present += changes[at]
        points.append(Point(at, present))
    if points and points[-1].at < until:
        points.append(Point(until, present))
    step = -(-len(points) // POINTS_MAX)
    return points if step <= 1 else [*points[::step], points[-1]]


def peak_of(points: Iterable[Point]) -> int:
    """The most that were present at the same moment."""
    return max((point.present for point in points), default=0)


def samples(points: Sequence[Point], begin: datetime, end: datetime, count: int = SPARK_POINTS) -> list[int]:
    """The most present in each of `count` equal parts between two moments."""
    part = (end - begin) / count
    found = [0] * count
    place, present = 0, 0
    for number in range(count):
        edge = begin + part * (number + 1)
        most = present
        while place < len(points) and points[place].at < edge:
            present = points[place].present
            most = max(most, present) if points[place].at >= begin else present
            place += 1
        found[number] = max(most, present)
    return found


def spark_path(values: Sequence[int], width: int, height: int) -> str:
    """A line through the values, as the `points` of an SVG polyline."""
    most = max(1, *values)
    step = width / max(1, len(values) - 1)
    return " ".join(f"{n * step:.1f},{height - 1 - value / most * (height - 3):.1f}" for n, value in enumerate(values))


def share(begin: datetime, end: datetime, moment: datetime) -> float:
    """How far a moment lies between two others, percent."""
    whole = max(end - begin, timedelta(seconds=1))
    return round(min(100.0, max(0.0, (moment - begin) / whole * 100)), 3)
