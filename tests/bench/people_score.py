"""Every registrant of every occurrence beside the truth: the standing that the view gives them. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from joinlog.fakezoom.truth import StandingTruth
from tests.bench.links_play import Person, Played, Portion

RIGHT_SHARE_MIN = 0.995
ABSENT = Person("no row", "")
EXAMPLES = 2


@dataclass(frozen=True, slots=True)
class ScoredPerson:
    """One registrant of one occurrence. `is_linked`: every instance of it was linked right, and no other to it."""

    mix: str
    truth: str
    found: Person
    by: str
    is_linked: bool
    example: str

    @property
    def is_right(self) -> bool:
        """The standing is the true one."""
        return self.found.standing == self.truth

    @property
    def is_decidable(self) -> bool:
        """What webhooks show is enough to know, given that the occurrence was found."""
        return self.is_linked and self.by == "webhook"


def score_people(portion: Portion, played: Played) -> list[ScoredPerson]:
    """Score everybody who ever registered, for each occurrence they registered for or were seen at.

    Who came to an occurrence of others and showed nothing is none of its registrants, whoever they were.
    """
    registrants = {key: person.registrant_id for key, person in played.truth.people.items() if person.registrant_id}
    linked = _occurrences_linked_right(played)
    scored = []
    for standing in played.truth.standings:
        registrant_id = registrants.get(standing.person)
        if registrant_id is None or standing.standing == "unidentified":
            continue
        place = (standing.meeting_id, standing.occurrence_id)
        found = played.people.get((*place, registrant_id), ABSENT)
        scored.append(
            ScoredPerson(
                portion.mix,
                standing.standing,
                found,
                standing.standing_by,
                place in linked,
                _in_words(portion, standing, registrant_id, found),
            )
        )
    return scored


def _occurrences_linked_right(played: Played) -> set[tuple[int, str]]:
    found: dict[tuple[int, str], set[str]] = defaultdict(set)
    for uuid, link in played.found.items():
        instance = played.truth.instances.get(uuid)
        if link.occurrence_id is not None and instance is not None:
            found[instance.meeting_id, link.occurrence_id].add(uuid)
    return {
        (occurrence.meeting_id, occurrence.occurrence_id)
        for occurrence in played.truth.occurrences
        if found[occurrence.meeting_id, occurrence.occurrence_id] == set(occurrence.instances)
    }


def _in_words(portion: Portion, truth: StandingTruth, registrant_id: str, found: Person) -> str:
    return (
        f"registrant {registrant_id} of occurrence {truth.occurrence_id}: {truth.standing}, "
        f"known by {truth.standing_by}; Joinlog: {found.standing} ({found.reason}); seed {portion.seed}, "
        f"mix {portion.mix}"
    )


# --- the table --------------------------------------------------------------------------------------------------


def decided_right(people: Iterable[ScoredPerson]) -> tuple[int, int]:
    """Of the decidable, how many are right, and how many there are."""
    decidable = [one for one in people if one.is_decidable]
    return sum(one.is_right for one in decidable), len(decidable)


def people_report(people: Sequence[ScoredPerson]) -> list[str]:
    """By mix, of how many registrants the standing is right; then the claim, and what was wrong, with examples."""
    mixes: dict[str, list[ScoredPerson]] = {}
    for one in people:
        mixes.setdefault(one.mix, []).append(one)
    lines = [
        "", "**People.** Of how many registrants the standing in `occurrence_person` is right.", "",
        "| mix | registrants and occurrences | right | of those that could be known | right of them |",
        "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for mix, chosen in (*mixes.items(), ("all", people)):
        right, decidable = decided_right(chosen)
        share, decided = _share(sum(one.is_right for one in chosen), len(chosen)), _share(right, decidable)
        lines.append(f"| {mix} | {len(chosen):,} | {share} | {decidable:,} | {decided} |")
    right, decidable = decided_right(people)
    reached = "reached" if right >= RIGHT_SHARE_MIN * decidable else "MISSED "
    lines += ["", f"- {reached}  {RIGHT_SHARE_MIN:.1%} of those that could be known right: {_share(right, decidable)}"]
    return [*lines, *_differing(people)]


def _differing(people: Sequence[ScoredPerson]) -> list[str]:
    wrong: Mapping[str, list[ScoredPerson]] = defaultdict(list)
    for one in people:
        if not one.is_right:
            wrong[_why(one)].append(one)
    lines: list[str] = []
    for why, number in Counter({why: len(found) for why, found in wrong.items()}).most_common():
        lines.append(f"- {number}: {why}")
        lines += [f"  - {one.example}" for one in wrong[why][:EXAMPLES]]
    return lines


def _why(one: ScoredPerson) -> str:
    if not one.is_linked:
        return "the occurrence was not found, or another instance was taken for it"
    if one.by != "webhook":
        return f"not to be known from webhooks ({one.by}): {one.truth}, taken for {one.found.standing}"
    return f"for Joinlog to mend: {one.truth}, taken for {one.found.standing}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else ""
