"""Four roads, one table: webhooks, the API, both, and webhooks of which a fifth was lost for good, beside the API.

`make law` walks them on forty worlds.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import pytest

from joinlog.fakezoom import ApiOptions, ApiServer, World
from joinlog.fakezoom.truth import StandingTruth
from schema.store.database import Database
from tests.effort import EFFORT
from tests.inbox_to_tables import drain, keep_events, select
from tests.workers.zoom.test_sync import OPEN, stated_are_linked, sync, world_of

SEEDS = range(1, 1 + EFFORT)
ROADS: Mapping[str, tuple[float, bool]] = {  # the share of webhooks that arrive, and whether the API is asked
    "webhooks alone": (1.0, False),
    "the API alone": (0.0, True),
    "both": (1.0, True),
    "a fifth lost, and the API": (0.8, True),
}
MIX = "calm"
REGISTRANTS = frozenset({"attended", "no_show"})
HELD = REGISTRANTS | {"walk_in", "unidentified", "staff"}
Occurrence = tuple[str, int, str]


def true_standings(world: World, by: frozenset[str], names: frozenset[str]) -> dict[Occurrence, Counter[str]]:
    """How many people had each of these standings, for the occurrences held of which that can be known of everybody."""
    people: dict[Occurrence, list[StandingTruth]] = {}
    for one in world.truth.standings:
        if one.standing in names:
            people.setdefault((one.account_id, one.meeting_id, one.occurrence_id), []).append(one)
    return {
        occurrence: Counter(str(one.standing) for one in standings)
        for occurrence, standings in people.items()
        if all(one.standing_by in by for one in standings)
    }


def told_standings(database: Database) -> dict[Occurrence, Counter[str]]:
    """The same, as `occurrence_person` tells it; `occurrence_report` has to tell the same."""
    told: dict[Occurrence, Counter[str]] = {}
    for row in select(
        database,
        "SELECT account_id, meeting_id, occurrence_id, standing, count(*) AS people FROM occurrence_person "
        "GROUP BY account_id, meeting_id, occurrence_id, standing",
    ):
        key = (row["account_id"], row["meeting_id"], row["occurrence_id"])
        told.setdefault(key, Counter())[row["standing"]] = row["people"]
    for row in select(database, "SELECT * FROM occurrence_report WHERE instances > 0"):
        counted = told.get((row["account_id"], row["meeting_id"], row["occurrence_id"]), Counter())
        columns = {"attended": "attended", "no_show": "no_shows", "walk_in": "walk_ins", "staff": "staff"}
        assert {standing: counted[standing] for standing in columns} == {s: row[name] for s, name in columns.items()}
    return told


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_road_leads_to_the_truth(database: Database, road: str, seed: int) -> None:
    arriving, asks = ROADS[road]
    world, luck = world_of(MIX, seed), random.Random(seed)
    keep_events(database, [e.event for e in world.emissions if luck.random() < arriving])
    drain(database)
    if asks:
        with ApiServer(world, seed, ApiOptions(limits=False, facts=OPEN | {"old_share": 0.0})) as zoom:
            assert sync(database, zoom).remains == []
            stated_are_linked(database, zoom)
    # who is staff is in part told by the API alone
    by, names = ({"webhook", "api"}, HELD) if asks else ({"webhook"}, REGISTRANTS)
    truth = true_standings(world, frozenset(by), names)
    told = told_standings(database)
    assert truth
    for occurrence, counted in truth.items():
        assert Counter({s: n for s, n in told[occurrence].items() if s in names}) == counted
