"""The questions downstream systems ask, as views: the same columns and types on SQLite and Postgres.

Every view can be filtered by account_id and meeting_id (and occurrence_id or uuid) so that the filter reaches an
index. For that each is one aggregate deep: SQLite pushes a filter through one, not through two, so what would need a
second one is kept in the tables (`occurrence.held_from`, `participant.counts_from`). A test shows the plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from schema.states import NEEDS_REVIEW
from schema.store.dialect import dialect_of


class View(NamedTuple):
    """A view: what it answers, what each column holds, and its query, with `{...}` where the dialects differ."""

    answers: str
    columns: Mapping[str, str]
    query: str


_STANDS = """(r.status <> 'pending'
    AND r.since <= COALESCE(o.held_until, CASE WHEN o.held_from IS NULL THEN {planned_end} END, {for_ever})
    AND (r.until IS NULL OR r.until > COALESCE(o.held_from, o.scheduled_start, {for_ever})))"""
# A registration counts for an occurrence: approved, made before it ended, not taken back before it began.

_OF_OCCURRENCE = "r.account_id = o.account_id AND r.meeting_id = o.meeting_id AND r.occurrence_id = o.occurrence_id"
_OF_ALL = "r.account_id = o.account_id AND r.meeting_id = o.meeting_id AND r.occurrence_id = '*'"

_WORD = f"(CASE WHEN {_STANDS} THEN 1 ELSE 0 END + CASE WHEN r.occurrence_id = '*' THEN 0 ELSE 2 END)"
_BOTH = "r.account_id = o.account_id AND r.meeting_id = o.meeting_id AND r.occurrence_id IN (o.occurrence_id, '*')"
_REGISTRANTS = f"""(SELECT count(*) FROM (
    SELECT max({_WORD}) AS word FROM registration r WHERE {_BOTH} GROUP BY r.registrant_id) AS words
    WHERE word IN (1, 3))"""
_IS_REGISTERED = f"""(p.person_id LIKE 'registrant:%' AND COALESCE((
    SELECT max({_WORD}) FROM registration r WHERE r.registrant_id = substr(p.person_id, 12) AND {_BOTH}
    ), 0) IN (1, 3))"""
# The word about this occurrence (2: no, 3: yes) outweighs the one about all (0, 1). Registrations are not joined with
# registrations: without statistics Postgres would read all of them once for each of them.

_INSTANCES = """occurrence o
    {then_join} instance i
      ON i.account_id = o.account_id AND i.meeting_id = o.meeting_id AND i.occurrence_id = o.occurrence_id
    {then_join} participant p ON p.account_id = i.account_id AND p.uuid = i.uuid"""

_PEAK = """(SELECT max(present) FROM (
    SELECT sum(delta) OVER (ORDER BY at, delta ROWS UNBOUNDED PRECEDING) AS present FROM (
        SELECT both_ends.delta, CASE both_ends.delta WHEN 1 THEN s.counts_from ELSE COALESCE(s.left_at, {for_ever}) END
            AS at
        FROM instance j
        {then_join} participant s ON s.account_id = j.account_id AND s.uuid = j.uuid
        CROSS JOIN (SELECT 1 AS delta UNION ALL SELECT -1) AS both_ends
        WHERE j.account_id = o.account_id AND j.meeting_id = o.meeting_id AND j.occurrence_id = o.occurrence_id
          AND s.counts_from IS NOT NULL
    ) AS ends) AS counted)"""

_STAFF = """(CASE
    WHEN p.zoom_user_id = i.host_id OR p.participant_id = i.host_id OR p.email = lower(i.host_id) THEN '5host'
    WHEN replace(m.alternative_hosts, ';' || p.email || ';', '') <> m.alternative_hosts THEN '4alternative host'
    ELSE COALESCE((
        SELECT max(
            CASE t.role WHEN 'host' THEN '5' WHEN 'alternative host' THEN '4' WHEN 'panelist' THEN '2' END || t.role)
        FROM staff t
        WHERE t.account_id = o.account_id AND t.meeting_id = o.meeting_id
        AND t.identifier IN ('user:' || p.zoom_user_id, 'email:' || p.email)),
        CASE p.staff_as WHEN 'co-host' THEN '3' WHEN 'panelist' THEN '2' WHEN 'staff domain' THEN '1' END || p.staff_as)
    END)"""
# Why a stay is one of somebody who runs it; the digit makes the weightiest reason the greatest. None: it is not.

_WHY = f"""(SELECT max(CASE r.occurrence_id WHEN '*' THEN '0' ELSE '1' END || CASE
    WHEN {_STANDS} THEN CASE r.occurrence_id WHEN '*' THEN '+registered for all' ELSE '+registered for it' END
    WHEN r.status = 'pending' THEN '-not approved yet'
    WHEN r.status = 'denied' THEN '-denied'
    WHEN r.since > COALESCE(o.held_until, CASE WHEN o.held_from IS NULL THEN {{planned_end}} END, {{for_ever}})
        THEN '-registered after it ended'
    ELSE '-cancelled before it started' END)
    FROM registration r WHERE r.registrant_id = {{registrant}} AND {_BOTH})"""
# What the word about this occurrence ('1') or else about all of them ('0') makes of a registrant, and why.

_SINCE = f"""COALESCE(
    (SELECT max(r.since) FROM registration r WHERE r.registrant_id = {{registrant}} AND {_OF_OCCURRENCE}),
    (SELECT max(r.since) FROM registration r WHERE r.registrant_id = {{registrant}} AND {_OF_ALL}))"""

_PERSONS_REGISTRANT = "substr(p.person_id, 12)"  # what follows `registrant:`


def _of(registrant: str, query: str) -> str:
    return query.replace("{registrant}", registrant)


_NEEDING_REVIEW = ", ".join(f"'{state.value}'" for state in NEEDS_REVIEW)

_WAITS = f"""EXISTS (
    SELECT 1 FROM instance j WHERE j.account_id = o.account_id AND j.meeting_id IN (o.meeting_id, (
        SELECT room.room_id FROM meeting room WHERE room.account_id = o.account_id AND room.meeting_id = o.meeting_id))
    AND j.occurrence_id IS NULL AND j.link_state IN ({_NEEDING_REVIEW})
    AND replace(j.link_evidence, '"' || o.occurrence_id || '"', '') <> j.link_evidence
    AND (j.meeting_id = o.meeting_id
         OR replace(j.link_evidence, '"meeting_id":' || o.meeting_id, '') <> j.link_evidence))"""
# Somebody has yet to decide whether an instance was this occurrence: it is among the candidates in the evidence. One
# that ran under a personal meeting id is of that number until then, and its candidates name their meetings.

_KEYS = {
    "account_id": "Zoom account",
    "meeting_id": "Zoom's number of the meeting",
    "occurrence_id": "the occurrence, as in table occurrence",
}

VIEWS: Mapping[str, View] = {
    "occurrence_report": View(
        "For each occurrence: how many had registered, came, and did not. One row per occurrence. "
        "registrants = attended + no_shows; participants = attended + walk_ins + unidentified; staff are neither.",
        {
            **_KEYS,
            "topic": "title of the meeting",
            "scheduled_start": "planned start, UTC",
            "duration_minutes": "planned length, minutes",
            "status": "available, deleted, retired or unknown",
            "state": "held, not_held, undecided, running, planned, deleted or retired",
            "instances": "how many instances it had",
            "link_state": "least certain link_state among them",
            "held_from": "start of the first instance, UTC",
            "held_until": "end of the last instance, UTC; null while one runs",
            "registrants": "people whose registration counts for it",
            "attended": "registrants who came; null when it was not held",
            "no_shows": "registrants who did not; null when it was not held",
            "walk_ins": "people who came without being its registrants; null when it was not held",
            "unidentified": "people of whom nothing tells who they were; null when it was not held",
            "staff": "people who ran it and are none of its registrants; null when it was not held",
            "participants": "everybody who came but staff; null when it was not held",
            "peak_concurrent": "most people there at the same moment, staff too; null when it was not held",
            "attended_minutes": "minutes of all people together, staff too, rounded to 0.01; null when it was not held",
            "is_final": "true once Zoom's record of each of its instances is final; null when it was not held",
        },
        f"""
        SELECT account_id, meeting_id, occurrence_id, topic, scheduled_start, duration_minutes, status,
               CASE WHEN instances > 0 AND held_until IS NULL THEN 'running'
                    WHEN instances > 0 THEN 'held'
                    WHEN waits = 1 AND COALESCE(scheduled_start, {{now}}) <= {{now}} THEN 'undecided'
                    WHEN status IN ('deleted', 'retired') THEN status
                    WHEN ends_at < {{now}} THEN 'not_held'
                    ELSE 'planned' END AS state,
               instances, link_state, held_from, held_until, registrants,
               CASE WHEN instances > 0 THEN attended END AS attended,
               CASE WHEN instances > 0 THEN registrants - attended END AS no_shows,
               CASE WHEN instances > 0 THEN people - attended - staff - unknown + unknown_staff END AS walk_ins,
               CASE WHEN instances > 0 THEN unknown - unknown_staff END AS unidentified,
               CASE WHEN instances > 0 THEN staff END AS staff,
               CASE WHEN instances > 0 THEN people - staff END AS participants,
               CASE WHEN instances > 0 THEN COALESCE(peak_concurrent, 0) END AS peak_concurrent,
               CASE WHEN instances > 0 THEN attended_minutes END AS attended_minutes,
               CASE WHEN instances > 0 THEN NOT not_final END AS is_final
        FROM (
            SELECT o.account_id, o.meeting_id, o.occurrence_id, max(m.topic) AS topic,
                   max(o.scheduled_start) AS scheduled_start, max(o.duration_minutes) AS duration_minutes,
                   max(o.status) AS status, max(o.instances) AS instances, max(o.link_state) AS link_state,
                   max(o.held_from) AS held_from, max(o.held_until) AS held_until,
                   max({{planned_end}}) AS ends_at, CASE WHEN {_WAITS} THEN 1 ELSE 0 END AS waits,
                   count(DISTINCT p.person_id) AS people,
                   count(DISTINCT CASE WHEN {_IS_REGISTERED} THEN p.person_id END) AS attended,
                   count(DISTINCT CASE WHEN {_STAFF} IS NOT NULL AND NOT {_IS_REGISTERED} THEN p.person_id END)
                       AS staff,
                   count(DISTINCT CASE WHEN p.person_id LIKE 'connection:%' THEN p.person_id END) AS unknown,
                   count(DISTINCT CASE WHEN p.person_id LIKE 'connection:%' AND {_STAFF} IS NOT NULL
                         THEN p.person_id END) AS unknown_staff,
                   {{minutes}} AS attended_minutes,
                   {_REGISTRANTS} AS registrants,
                   {_PEAK} AS peak_concurrent,
                   {{as_flag_open}}i.final_at IS NULL{{as_flag_close}} AS not_final
            FROM occurrence o
            LEFT JOIN meeting m ON m.account_id = o.account_id AND m.meeting_id = o.meeting_id
            LEFT JOIN instance i
              ON i.account_id = o.account_id AND i.meeting_id = o.meeting_id AND i.occurrence_id = o.occurrence_id
            LEFT JOIN participant p ON p.account_id = i.account_id AND p.uuid = i.uuid
            GROUP BY o.account_id, o.meeting_id, o.occurrence_id
        ) AS counted
        """,
    ),
    "occurrence_person": View(
        "Who had registered for an occurrence, who came, and what each of them is to it. One row per registrant and "
        "per person who came; the sums are those of occurrence_report.",
        {
            **_KEYS,
            "person_id": "who: registrant:, user:, email:, key:, keys:, phone: or connection: and an id in the meeting",
            "registrant_id": "the registrant, as in table registrant; null for who never registered for the meeting",
            "name": "the name they registered with, else one they showed; never identifies anybody",
            "email": "the address they registered with, else one they showed, lower case",
            "standing": "attended, no_show, walk_in, unidentified or staff; registered before it was held",
            "registered_since": "registered since, UTC",
            "first_joined_at": "first join, UTC; null for who did not come, or when only leaves were reported",
            "last_left_at": "last leave, UTC; null while they are there",
            "attended_seconds": "seconds there, overlapping stays counted once, to 0.001; 0 for who did not come",
            "attended_share": "of the time it was held, 0 to 1; null before and while it is held",
            "connections": "how many connections they used, breakout rooms left out",
            "is_present": "true while they are there",
            "reason": "why this standing, in one of the words listed under States",
        },
        f"""
        SELECT account_id, meeting_id, occurrence_id, person_id, registrant_id, name, email,
               CASE WHEN substr(why, 2, 1) = '+'
                    THEN CASE WHEN instances = 0 THEN 'registered' WHEN came = 1 THEN 'attended' ELSE 'no_show' END
                    WHEN staff IS NOT NULL THEN 'staff'
                    WHEN person_id LIKE 'connection:%' THEN 'unidentified'
                    ELSE 'walk_in' END AS standing,
               registered_since, first_joined_at, last_left_at, attended_seconds,
               CASE WHEN attended_seconds * 1000 >= held_milliseconds THEN CAST(1 AS double precision)
                    ELSE attended_seconds * 1000 / held_milliseconds END AS attended_share,
               connections, is_present,
               CASE WHEN substr(why, 2, 1) = '+'
                    THEN CASE WHEN came = 0 OR by_link = 1 THEN substr(why, 3)
                              WHEN by_address = 1 THEN 'known by address' ELSE 'known by another identifier' END
                    WHEN staff IS NOT NULL THEN substr(staff, 2)
                    WHEN person_id LIKE 'connection:%' THEN 'no identifier'
                    WHEN why IS NOT NULL THEN substr(why, 3)
                    WHEN registrant_id IS NOT NULL THEN 'registered for another occurrence'
                    ELSE 'never registered' END AS reason
        FROM (
            SELECT o.account_id, o.meeting_id, o.occurrence_id, p.person_id,
                   max(o.instances) AS instances, max(o.held_milliseconds) AS held_milliseconds, 1 AS came,
                   max(g.registrant_id) AS registrant_id,
                   COALESCE(max(NULLIF(trim(COALESCE(g.first_name, '') || ' ' || COALESCE(g.last_name, '')), '')),
                            max(p.name)) AS name,
                   COALESCE(max(g.email), max(p.email)) AS email,
                   max({_STAFF}) AS staff,
                   max(CASE WHEN p.registrant_id = g.registrant_id THEN 1 ELSE 0 END) AS by_link,
                   max(CASE WHEN p.email = g.email THEN 1 ELSE 0 END) AS by_address,
                   {_of(_PERSONS_REGISTRANT, _WHY)} AS why,
                   {_of(_PERSONS_REGISTRANT, _SINCE)} AS registered_since,
                   min(p.joined_at) AS first_joined_at,
                   CASE WHEN {{any_open}} THEN NULL ELSE max(p.left_at) END AS last_left_at,
                   {{seconds}} AS attended_seconds,
                   count(DISTINCT CASE WHEN p.room_uuid IS NULL
                         THEN p.uuid || ' ' || COALESCE(p.participant_uuid, p.connection_id) END) AS connections,
                   {{any_open}} AS is_present
            FROM {_INSTANCES}
            LEFT JOIN meeting m ON m.account_id = o.account_id AND m.meeting_id = o.meeting_id
            {{look_up}} registrant g
              {{look_up_by}} g.account_id = o.account_id AND g.meeting_id = o.meeting_id
              AND p.person_id LIKE 'registrant:%' AND g.registrant_id = {_PERSONS_REGISTRANT} {{looked_up}}
            GROUP BY o.account_id, o.meeting_id, o.occurrence_id, p.person_id
            UNION ALL
            SELECT o.account_id, o.meeting_id, o.occurrence_id, 'registrant:' || r.registrant_id,
                   o.instances, o.held_milliseconds, 0, r.registrant_id,
                   NULLIF(trim(COALESCE(g.first_name, '') || ' ' || COALESCE(g.last_name, '')), ''), g.email,
                   NULL, 0, 0,
                   CASE r.occurrence_id WHEN '*' THEN '0+registered for all' ELSE '1+registered for it' END, r.since,
                   NULL, NULL, CAST(0 AS double precision), 0, FALSE
            FROM occurrence o
            {{then_join}} registration r ON {_BOTH}
            {{look_up}} registrant g
              {{look_up_by}} g.account_id = o.account_id AND g.meeting_id = o.meeting_id
              AND g.registrant_id = r.registrant_id {{looked_up}}
            WHERE {_STANDS}
              AND NOT (r.occurrence_id = '*' AND EXISTS (
                  SELECT 1 FROM registration own WHERE own.account_id = r.account_id
                  AND own.meeting_id = r.meeting_id AND own.registrant_id = r.registrant_id
                  AND own.occurrence_id = o.occurrence_id {{separately}}))
              AND NOT EXISTS (
                  SELECT 1 FROM participant s
                  {{then_join}} instance j ON j.account_id = s.account_id AND j.uuid = s.uuid
                  WHERE s.account_id = o.account_id AND s.meeting_id = o.meeting_id
                  AND s.person_id = 'registrant:' || r.registrant_id
                  AND j.meeting_id = o.meeting_id AND j.occurrence_id = o.occurrence_id {{separately}})
        ) AS people
        """,
    ),
    "attendance": View(
        "Who came to which occurrence, and for how long. One row per person and occurrence.",
        {
            **_KEYS,
            "person_id": "who: registrant:, user:, email:, key:, keys:, phone: or connection: and an id in the meeting",
            "name": "a name they showed; never identifies anybody",
            "email": "an address of theirs, lower case, where known",
            "first_joined_at": "first join, UTC; null when only leaves were reported",
            "last_left_at": "last leave, UTC; null while they are there",
            "attended_minutes": "minutes there, overlapping stays counted once, rounded to 0.01",
            "connections": "how many connections they used, breakout rooms left out",
            "is_present": "true while they are there",
            "is_registered": "true when their registration counts for this occurrence",
        },
        f"""
        SELECT o.account_id, o.meeting_id, o.occurrence_id, p.person_id, max(p.name) AS name, max(p.email) AS email,
               min(p.joined_at) AS first_joined_at,
               CASE WHEN {{any_open}} THEN NULL ELSE max(p.left_at) END AS last_left_at,
               {{minutes}} AS attended_minutes,
               count(DISTINCT CASE WHEN p.room_uuid IS NULL THEN p.uuid || ' ' || p.connection_id END) AS connections,
               {{any_open}} AS is_present,
               {{as_flag_open}}{_IS_REGISTERED}{{as_flag_close}} AS is_registered
        FROM {_INSTANCES}
        GROUP BY o.account_id, o.meeting_id, o.occurrence_id, p.person_id
        """,
    ),
    "occurrence_registrant": View(
        "Who had registered for which occurrence. One row per registrant whose registration counts for it.",
        {
            **_KEYS,
            "registrant_id": "the registrant, as in table registrant",
            "since": "registered since, UTC",
            "until": "cancelled at, UTC, if they did so once it had begun",
        },
        f"""
        SELECT o.account_id, o.meeting_id, o.occurrence_id, r.registrant_id, r.since, r.until
        FROM occurrence o JOIN registration r ON {_OF_OCCURRENCE}
        WHERE {_STANDS}
        UNION ALL
        SELECT o.account_id, o.meeting_id, o.occurrence_id, r.registrant_id, r.since, r.until
        FROM occurrence o JOIN registration r ON {_OF_ALL}
        WHERE {_STANDS} AND NOT EXISTS (
            SELECT 1 FROM registration own WHERE own.account_id = r.account_id AND own.meeting_id = r.meeting_id
            AND own.registrant_id = r.registrant_id AND own.occurrence_id = o.occurrence_id)
        """,
    ),
    "live_instance": View(
        "What is running now. One row per instance that has started and not ended.",
        {
            "account_id": "Zoom account",
            "meeting_id": "Zoom's number of the meeting",
            "uuid": "the instance",
            "kind": "webinar or meeting",
            "topic": "title",
            "started_at": "actual start, UTC",
            "occurrence_id": "the occurrence it is, when that can be said",
            "link_state": "how sure that is",
            "scheduled_start": "planned start of that occurrence, UTC",
            "present": "people there now",
            "participants": "people who were there so far",
            "registrants": "people whose registration counts for the occurrence",
        },
        f"""
        SELECT i.account_id, i.meeting_id, i.uuid, i.kind, i.topic, i.started_at, i.occurrence_id, i.link_state,
               o.scheduled_start,
               (SELECT count(DISTINCT p.person_id) FROM participant p
                WHERE p.account_id = i.account_id AND p.uuid = i.uuid
                  AND p.joined_at IS NOT NULL AND p.left_at IS NULL) AS present,
               (SELECT count(DISTINCT p.person_id) FROM participant p
                WHERE p.account_id = i.account_id AND p.uuid = i.uuid) AS participants,
               {_REGISTRANTS} AS registrants
        FROM instance i
        LEFT JOIN occurrence o
          ON o.account_id = i.account_id AND o.meeting_id = i.meeting_id AND o.occurrence_id = i.occurrence_id
        WHERE i.ended_at IS NULL AND i.started_at IS NOT NULL
        """,
    ),
    "needs_review": View(
        "Links a person should decide: nothing certain to say, or Zoom contradicts an operator. One row per instance.",
        {
            "account_id": "Zoom account",
            "meeting_id": "Zoom's number of the meeting",
            "uuid": "the instance",
            "topic": "title when it ran",
            "started_at": "actual start, UTC",
            "ended_at": "actual end, UTC; null while it runs",
            "link_state": "conflict, ambiguous or unscheduled; confirmed where Zoom contradicts an operator",
            "link_evidence": "what is known, JSON text with the candidates",
            "occurrence_id": "the occurrence an operator chose; else null",
        },
        f"""
        SELECT i.account_id, i.meeting_id, i.uuid, i.topic, i.started_at, i.ended_at, i.link_state, i.link_evidence,
               i.occurrence_id
        FROM instance i
        WHERE i.link_state IN ({_NEEDING_REVIEW})
        UNION ALL
        SELECT i.account_id, i.meeting_id, i.uuid, i.topic, i.started_at, i.ended_at, i.link_state, i.link_evidence,
               i.occurrence_id
        FROM instance i
        JOIN link_statement said ON said.account_id = i.account_id AND said.uuid = i.uuid AND said.source = 'operator'
        JOIN link_statement zoom ON zoom.account_id = i.account_id AND zoom.uuid = i.uuid AND zoom.source = 'zoom'
        WHERE said.occurrence_id IS NOT NULL AND zoom.occurrence_id <> said.occurrence_id
        """,
    ),
}


def create_views(connection: Connection) -> None:
    """Make every view, with what it answers and what its columns hold as comments where the database keeps them."""
    dialect = dialect_of(connection)
    for name, view in VIEWS.items():
        query = view.query
        for mark, words in dialect.view_words.items():
            query = query.replace(f"{{{mark}}}", words)
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {dialect.literal(query)}")
        comments = [("VIEW", name, view.answers)]
        comments += [("COLUMN", f"{name}.{column}", holds) for column, holds in view.columns.items()]
        for kind, what, comment in comments:
            if (statement := dialect.comment_on(kind, what, comment)) is not None:
                connection.exec_driver_sql(statement)


def drop_views(connection: Connection) -> None:
    """Remove every view."""
    for name in reversed(list(VIEWS)):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
