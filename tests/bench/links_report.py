"""The scores as tables and as the issue's `Must hold`, for the terminal and for docs/explanation/linking.md. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from schema.states import LinkState
from tests.bench.links_causes import DECIDABLE
from tests.bench.links_score import Scored
from tests.bench.rival_rules import RIVALS

OBSERVED_RIGHT_PER_WRONG_MIN = 2000
INFERRED_RIGHT_PER_WRONG_MIN = 200
RIGHT_SHARE_MIN = 0.98
RIVAL_TIMES_WRONG = 10


@dataclass(slots=True)
class Count:
    """Instances under one rule or in one state: how many, how many it links, rightly, wrongly; how many it misses."""

    instances: int = 0
    linked: int = 0
    right: int = 0
    wrong: int = 0
    missed: int = 0

    def add(self, truth: str | None, linked_to: str | None) -> None:
        """Count one instance."""
        self.instances += 1
        self.linked += linked_to is not None
        self.right += linked_to is not None and linked_to == truth
        self.wrong += linked_to is not None and linked_to != truth
        self.missed += truth is not None and linked_to != truth

    @property
    def belonging(self) -> int:
        """Instances that belong to an occurrence."""
        return self.right + self.missed

    @property
    def right_share(self) -> float:
        """Of those that belong to an occurrence, the share linked right."""
        return self.right / self.belonging if self.belonging else 1.0


@dataclass(frozen=True, slots=True)
class Claim:
    """One line of the issue's `Must hold`: what was asked, what was found, and whether that reaches it."""

    asked: str
    found: str
    is_reached: bool

    def __str__(self) -> str:
        return f"{'reached' if self.is_reached else 'MISSED '}  {self.asked}: {self.found}"


def count_rules(scores: Iterable[Scored]) -> dict[str, Count]:
    """Joinlog in all, and every other rule."""
    counts = {"Joinlog": Count(), **{name: Count() for name in RIVALS}}
    for one in scores:
        counts["Joinlog"].add(one.truth, one.found.occurrence_id)
        for name, linked_to in one.rivals.items():
            counts[name].add(one.truth, linked_to)
    return counts


def count_states(scores: Iterable[Scored]) -> dict[str, Count]:
    """Joinlog by the state it gives the link; `no instance` where nothing was ever delivered."""
    counts = {state.value: Count() for state in LinkState}
    for one in scores:
        counts.setdefault(one.found.state, Count()).add(one.truth, one.found.occurrence_id)
    return counts


def by_mix(scores: Sequence[Scored]) -> dict[str, list[Scored]]:
    """The scores of each mix, in the order they came."""
    mixes: dict[str, list[Scored]] = {}
    for one in scores:
        mixes.setdefault(one.mix, []).append(one)
    return mixes


def check(scores: Sequence[Scored]) -> list[Claim]:
    """The issue's `Must hold`, line by line."""
    states, rules = count_states(scores), count_rules(scores)
    confirmed, observed, inferred = states["confirmed"], states["observed"], states["inferred"]
    ours = rules["Joinlog"]
    undecidable = sum(one.is_missed and one.is_undecidable for one in scores)
    decided = ours.right / max(1, ours.belonging - undecidable)
    rivals = {name: count for name, count in rules.items() if name in RIVALS}
    return [
        Claim("no wrong link among confirmed", f"{confirmed.wrong} of {confirmed.linked}", confirmed.wrong == 0),
        Claim(
            f"at most 1 in {OBSERVED_RIGHT_PER_WRONG_MIN:,} wrong among observed",
            f"{observed.wrong} of {observed.linked:,}",
            observed.wrong * OBSERVED_RIGHT_PER_WRONG_MIN <= observed.linked,
        ),
        Claim(
            f"at most 1 in {INFERRED_RIGHT_PER_WRONG_MIN} wrong among inferred",
            f"{inferred.wrong} of {inferred.linked:,}",
            inferred.wrong * INFERRED_RIGHT_PER_WRONG_MIN <= inferred.linked,
        ),
        Claim(
            f"{RIGHT_SHARE_MIN:.0%} of the instances that belong to an occurrence linked right",
            f"{ours.right_share:.2%} of {ours.belonging:,}",
            ours.right_share >= RIGHT_SHARE_MIN,
        ),
        Claim(
            "the same, the undecidable set aside",
            f"{decided:.2%} of {ours.belonging - undecidable:,}",
            decided >= RIGHT_SHARE_MIN,
        ),
        *(
            Claim(
                f"wrong at most a tenth of `{name}`",
                f"{ours.wrong} against {rivals[name].wrong} (it links {rivals[name].right_share:.1%} right)",
                ours.wrong * RIVAL_TIMES_WRONG <= rivals[name].wrong,
            )
            for name in sorted(rivals, key=lambda name: -rivals[name].right)
        ),
    ]


def table(title: str, counts: Mapping[str, Count]) -> list[str]:
    """A table in Markdown, which reads well enough in a terminal."""
    width = max(len(title), *map(len, counts))
    lines = [
        f"| {title:{width}} | instances | linked | right  | wrong | missed | right of those that belong |",
        f"|{'-' * (width + 2)}|----------:|-------:|-------:|------:|-------:|---------------------------:|",
    ]
    for name, c in counts.items():
        share = f"{c.right_share:.2%}" if c.belonging else ""
        lines.append(
            f"| {name:{width}} | {c.instances:9,} | {c.linked:6,} | {c.right:6,} | {c.wrong:5,} | {c.missed:6,} "
            f"| {share:>26} |"
        )
    return lines


def causes(scores: Sequence[Scored], *, examples: int = 1) -> list[str]:
    """What was missed or mistaken, by class, the largest first, with examples; the decidable are Joinlog's to mend."""
    lines: list[str] = []
    for title, chosen in (
        ("Linked wrongly", [one for one in scores if one.is_wrong]),
        ("Missed", [one for one in scores if one.is_missed and not one.is_wrong]),
    ):
        undecidable = sum(one.is_undecidable for one in chosen)
        lines += ["", f"**{title}**: {len(chosen)}, of them undecidable {undecidable}.", ""]
        for cause, number in Counter(str(one.cause) for one in chosen).most_common():
            shown = [one.example for one in chosen if one.cause == cause]
            name = "decidable, so for Joinlog to mend" if cause == DECIDABLE else cause
            lines.append(f"- {number}: {name}")
            lines += [f"  - {example}" for example in shown[:examples]]
    return lines


def shares_by_mix(scores: Sequence[Scored]) -> list[str]:
    """Per mix, Joinlog and every other rule: right and wrong, as a table in Markdown."""
    mixes = by_mix(scores)
    rules = ["Joinlog", *RIVALS]
    lines = [
        "| mix | belonging | " + " | ".join(f"{rule}: right, wrong" for rule in rules) + " |",
        "|---|---:|" + "---:|" * len(rules),
    ]
    for mix, chosen in mixes.items():
        counts = count_rules(chosen)
        cells = [f"{counts[rule].right:,}, {counts[rule].wrong}" for rule in rules]
        lines.append(f"| {mix} | {counts['Joinlog'].belonging:,} | " + " | ".join(cells) + " |")
    return lines


def evenly(scores: Sequence[Scored]) -> float:
    """The share linked right if every mix weighed the same."""
    shares = [count_rules(chosen)["Joinlog"].right_share for chosen in by_mix(scores).values()]
    return sum(shares) / len(shares)
