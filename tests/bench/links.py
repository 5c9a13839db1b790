"""`make bench-links`: linking scored against the simulated truth, beside the rules in use elsewhere.

Each portion of series is invented, delivered with faults into a database of its own, drained, and read back from the
table `instance`. Two processes share the portions.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from joinlog.fakezoom import EVERY_MIX, PEOPLE_MIXES
from tests.bench.links_play import DELIVERIES, Portion, be_quiet, make_template, play_portion
from tests.bench.links_report import (
    Claim,
    by_mix,
    causes,
    check,
    count_rules,
    count_states,
    evenly,
    shares_by_mix,
    table,
)
from tests.bench.links_score import Scored, score
from tests.bench.people_score import ScoredPerson, decided_right, people_report, score_people

WEIGHTS = {  # series in a hundred; a mix that is not named here weighs 1
    "usual": 44,  # meant to be life: every oddity, each as rare as it is
    "no_registration": 8,  # most meetings and many webinars: the schedule is all there is
    "daily": 8,  # common in teaching
    "several_a_day": 6,  # open days and consultation hours: neighbours an hour apart
    "unplanned": 5,  # single sessions and rooms without a schedule: only `confirmed`
    "moved": 5,  # one date moved or the series edited, half of them under new ids
    "rehearsals": 4,
    "restarts": 4,
    "missing": 4,  # `started`, `ended`, `created` that never come
    "daylight_saving": 4,
    "calm": 2,
    "connections": 2,
    "chaotic": 2,  # every oddity several times as often as in life
    "unscheduled": 1,  # the room used on days when nothing is due, in two weeks of three
    "strangers": 1,  # four in ten without their link, one in five at the wrong door
}
PEOPLE_SERIES = 40
PEOPLE_SERIES_QUICK = 3
SERIES = 2200
SERIES_QUICK = 100
SERIES_PER_PORTION = 20
SERIES_PER_MIX_MIN = 2
PROCESSES = 2
SEED = 4
PEOPLE_RIGHT_QUICK_MIN = 0.99
RIGHT_SHARE_QUICK_MIN = 0.93  # a hundred series may hold one or two of which nobody was told the schedule
DOCUMENT = Path(__file__).parents[2] / "docs" / "explanation" / "linking.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything scored, and how large it was."""

    scores: list[Scored]
    people: list[ScoredPerson]
    series: int
    events: int
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 when a quick run finds linking broken, else 0."""
    chosen = _parser().parse_args(arguments)
    mixes = chosen.mixes.split(",") if chosen.mixes else list(WEIGHTS)
    if unknown := set(mixes) - set(EVERY_MIX):
        raise SystemExit(f"there is no mix {', '.join(sorted(unknown))}; there are {', '.join(EVERY_MIX)}")
    series = chosen.series or (SERIES_QUICK if chosen.quick else SERIES)
    portions = plan_portions(series, chosen.seed, mixes)
    beside = [] if chosen.mixes else plan_people(PEOPLE_SERIES_QUICK if chosen.quick else PEOPLE_SERIES, chosen.seed)
    outcome = run(portions, Console(stderr=True), beside)
    claims = check(outcome.scores)
    print("\n".join(report(outcome, claims, examples=chosen.examples)))
    if chosen.quick:
        broken = [*find_broken(outcome.scores, claims), *find_wrong_people(outcome.people)]
        print("\n".join(["", *(f"BROKEN: {line}" for line in broken)]))
        return 1 if broken else 0
    if not chosen.mixes and not chosen.series:
        write_measured(DOCUMENT, measured(outcome, claims))
        print(f"\nwritten to {DOCUMENT}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.bench.links", description=__doc__)
    parser.add_argument("--series", type=int, help=f"how many series to simulate, about; {SERIES}")
    parser.add_argument("--seed", type=int, default=SEED, help=f"another seed, other series; {SEED}")
    parser.add_argument("--mixes", help=f"only these, comma-separated: {', '.join(EVERY_MIX)}")
    parser.add_argument("--examples", type=int, default=1, help="how many to show of each class of miss; 1")
    parser.add_argument("--quick", action="store_true", help=f"{SERIES_QUICK} series; fails when linking is broken")
    parser.add_argument(
        "--through-database", action="store_true", help="say so explicitly: every run goes through the database"
    )
    return parser


def plan_portions(series: int, seed: int, mixes: Sequence[str]) -> list[Portion]:
    """About `series` series over these mixes by weight, in portions with a seed each; deliveries take turns."""
    weights = {mix: WEIGHTS.get(mix, 1) for mix in mixes}
    portions: list[Portion] = []
    for mix, weight in weights.items():
        left = max(SERIES_PER_MIX_MIN, ceil(series * weight / sum(weights.values())))
        while left > 0:
            number = len(portions)
            size = min(left, SERIES_PER_PORTION)
            delivery = list(DELIVERIES)[number % len(DELIVERIES)]
            portions.append(Portion(mix, seed * 1000 + number, number * SERIES_PER_PORTION, size, delivery))
            left -= size
    return portions


def plan_people(series: int, seed: int) -> list[Portion]:
    """So many series of every mix that is about people, beside those of `plan_portions`."""
    first = 1_000_000
    return [
        Portion(mix, seed * 1000 + 900 + number, first + number * series, series, "usual")
        for number, mix in enumerate(PEOPLE_MIXES)
    ]


def run(portions: Sequence[Portion], console: Console, beside: Sequence[Portion] = ()) -> Outcome:
    """Play and score them all in two processes, showing progress on stderr; `beside` are scored for people only."""
    began = time.perf_counter()
    every = [*portions, *beside]
    series = sum(portion.series for portion in every)
    results: dict[Portion, tuple[list[Scored], list[ScoredPerson], int]] = {}
    columns = (TextColumn("linking"), BarColumn(), MofNCompleteColumn(), TextColumn("series"), TimeRemainingColumn())
    with tempfile.TemporaryDirectory(prefix="joinlog-links-") as folder, Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=series)
        play = partial(play_and_score, template=make_template(Path(folder)))
        with get_context("spawn").Pool(PROCESSES, initializer=be_quiet) as pool:
            for portion, scores, people, events in pool.imap_unordered(play, every):
                results[portion] = scores, people, events
                bar.advance(task, portion.series)
    scores = [one for portion in portions for one in results[portion][0]]
    people = [one for portion in every for one in results[portion][1]]
    events = sum(count for _, _, count in results.values())
    return Outcome(scores, people, series, events, time.perf_counter() - began)


def play_and_score(portion: Portion, template: Path) -> tuple[Portion, list[Scored], list[ScoredPerson], int]:
    """One portion, in a worker process."""
    played = play_portion(portion, template)
    return portion, score(portion, played), score_people(portion, played), played.events


def find_broken(scores: Sequence[Scored], claims: Sequence[Claim]) -> list[str]:
    """What a quick run cannot excuse: it is too small for proportions, so it asks for them loosely."""
    states, ours = count_states(scores), count_rules(scores)["Joinlog"]
    broken = [str(claims[0])] if states["confirmed"].wrong else []
    if states["observed"].wrong > 1:
        broken.append(f"{states['observed'].wrong} wrong among observed")
    if states["inferred"].wrong > 2:
        broken.append(f"{states['inferred'].wrong} wrong among inferred")
    if ours.right_share < RIGHT_SHARE_QUICK_MIN:
        broken.append(f"only {ours.right_share:.2%} linked right")
    return broken


def find_wrong_people(people: Sequence[ScoredPerson]) -> list[str]:
    """The same of people."""
    right, decidable = decided_right(people)
    if right >= PEOPLE_RIGHT_QUICK_MIN * decidable:
        return []
    return [f"the standing of only {right:,} of {decidable:,} registrants right that could be known"]


def report(outcome: Outcome, claims: Sequence[Claim], examples: int) -> list[str]:
    """Everything, for the terminal."""
    lines = [
        f"{outcome.series:,} series, {len(outcome.scores):,} instances, {outcome.events:,} deliveries"
        f" in {outcome.seconds:.0f} s",
    ]
    for mix, chosen in by_mix(outcome.scores).items():
        states = {state: count for state, count in count_states(chosen).items() if count.instances}
        lines += ["", *table(mix, {**count_rules(chosen), **{f"  {state}": c for state, c in states.items()}})]
    return [*lines, *_summary(outcome, claims, examples)]


def measured(outcome: Outcome, claims: Sequence[Claim]) -> str:
    """The section of the document."""
    weights = ", ".join(f"{mix} {weight}" for mix, weight in WEIGHTS.items())
    intro = [
        f"`make bench-links`: {outcome.series:,} series, {len(outcome.scores):,} instances, "
        f"{outcome.events:,} deliveries through inbox, drain and SQLite. Series in a hundred by mix: {weights}.",
    ]
    per_mix = ["", *shares_by_mix(outcome.scores)]
    return "\n".join([*intro, *_summary(outcome, claims, 1), *per_mix])


def _summary(outcome: Outcome, claims: Sequence[Claim], examples: int) -> list[str]:
    scores = outcome.scores
    return [
        "", *table("rule", count_rules(scores)), "", *table("Joinlog's state", count_states(scores)), "",
        *(f"- {claim}" for claim in claims), "",
        f"If every mix weighed the same, {evenly(scores):.2%} would be right.", *causes(scores, examples=examples),
        *people_report(outcome.people),
    ]  # fmt: skip


def write_measured(document: Path, text: str) -> None:
    """Put the section between its markers. Raises ValueError when the document has none."""
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{document} has no {BEGIN} and {END}")
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
