"""Every instance of a portion beside the truth: what Joinlog and the other rules say, and why Joinlog missed. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from joinlog.fakezoom.truth import InstanceTruth, OccurrenceTruth
from tests.bench.links_causes import DECIDABLE, Case, cause_of, people_in
from tests.bench.links_play import Found, Played, Portion
from tests.bench.rival_rules import RIVALS, Date, Run

NEVER_HEARD_OF = Found(None, "no instance", "nothing of it was ever delivered")
FIXED_TYPES = (8, 9)
SINGLE_TYPES = (5, 2)
SINGLE = "single"


@dataclass(frozen=True, slots=True)
class Scored:
    """One instance: which occurrence it was (None for none), and what each rule says; `cause` of a miss or mistake."""

    mix: str
    uuid: str
    truth: str | None
    found: Found
    rivals: Mapping[str, str | None]
    cause: str | None = None
    example: str = ""

    @property
    def is_linked(self) -> bool:
        """Joinlog names an occurrence."""
        return self.found.occurrence_id is not None

    @property
    def is_right(self) -> bool:
        """Joinlog names the occurrence it was."""
        return self.is_linked and self.found.occurrence_id == self.truth

    @property
    def is_wrong(self) -> bool:
        """Joinlog names one that it was not."""
        return self.is_linked and not self.is_right

    @property
    def is_missed(self) -> bool:
        """It was an occurrence, and Joinlog does not name that one."""
        return self.truth is not None and not self.is_right

    @property
    def is_undecidable(self) -> bool:
        """Missed or wrong for want of evidence."""
        return self.cause is not None and self.cause != DECIDABLE


def score(portion: Portion, played: Played) -> list[Scored]:
    """Score every instance that really ran."""
    truth = played.truth
    occurrences: dict[int, list[OccurrenceTruth]] = defaultdict(list)
    instances: dict[int, list[InstanceTruth]] = defaultdict(list)
    for occurrence in truth.occurrences:
        occurrences[occurrence.meeting_id].append(occurrence)
    for instance in truth.instances.values():
        instances[instance.meeting_id].append(instance)
    types = {series.meeting_id: series.type for series in truth.series}
    rivals = {m: _rivals(types[m], instances[m], occurrences[m]) for m in types}
    scored = []
    for instance in truth.instances.values():
        found = played.found.get(instance.uuid, NEVER_HEARD_OF)
        one = Scored(
            portion.mix, instance.uuid, instance.occurrence_id, found,
            {rule: links[instance.uuid] for rule, links in rivals[instance.meeting_id].items()},
        )  # fmt: skip
        if one.is_wrong or one.is_missed:
            one = _explained(portion, one, _case(played, instance, instances, occurrences))
        scored.append(one)
    return scored


def _case(
    played: Played,
    instance: InstanceTruth,
    instances: Mapping[int, Sequence[InstanceTruth]],
    occurrences: Mapping[int, Sequence[OccurrenceTruth]],
) -> Case:
    truth, meeting_id = played.truth, instance.meeting_id
    series = next(series for series in truth.series if series.meeting_id == meeting_id)
    own = next((o for o in occurrences[meeting_id] if o.occurrence_id == instance.occurrence_id), None)
    is_known = own is not None and (meeting_id, own.occurrence_id) in played.dates_known
    people = people_in(truth, instance.uuid, series.registration_type, occurrences[meeting_id])
    return Case(instance, series, own, occurrences[meeting_id], instances[meeting_id], people, is_known)


def _explained(portion: Portion, one: Scored, case: Case) -> Scored:
    found = one.found
    said = found.state if found.occurrence_id is None else f"{found.state} as {found.occurrence_id}"
    example = f"{case.in_words()}; Joinlog: {said} ({found.reason}); seed {portion.seed}, mix {portion.mix}"
    return Scored(
        one.mix,
        one.uuid,
        one.truth,
        found,
        one.rivals,
        cause_of(case, found.occurrence_id, has_end=found.has_end),
        example,
    )


def _rivals(
    type_: int, instances: Sequence[InstanceTruth], occurrences: Sequence[OccurrenceTruth]
) -> dict[str, dict[str, str | None]]:
    """What the other rules make of one meeting, read after the fact."""
    if type_ not in FIXED_TYPES:
        own = {i.uuid: None if i.is_practice else SINGLE if type_ in SINGLE_TYPES else i.uuid for i in instances}
        return dict.fromkeys(RIVALS, own)
    dates = [
        Date(o.occurrence_id, o.scheduled_start, o.scheduled_start + timedelta(minutes=o.duration_minutes))
        for o in occurrences
        if o.status in ("held", "skipped") and o.scheduled_start is not None
    ]
    runs = [Run(i.uuid, i.started_at, i.ended_at) for i in instances if not i.is_practice]
    rehearsed: dict[str, str | None] = {i.uuid: None for i in instances if i.is_practice}
    return {name: {**rule(runs, dates), **rehearsed} for name, rule in RIVALS.items()}
