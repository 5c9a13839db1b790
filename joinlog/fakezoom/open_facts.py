"""What nobody outside Zoom knows for certain: drawn by seed, so that a client is tested against every answer. Pure."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


def fact(*choices: Any, says: str) -> Any:
    """A field of `OpenFacts`, the values it may have (named twice: drawn twice as often), and what it means."""
    return field(default=choices[0], metadata={"choices": choices, "says": says})


@dataclass(frozen=True, slots=True)
class OpenFacts:
    """One answer to every open question; `draw_open_facts` gives those of a seed. The defaults are the mildest."""

    # Webhooks
    retry_renews_request_id: bool = fact(False, True, says="a retried delivery has a new x-zm-request-id")
    retry_renews_timestamp: bool = fact(True, False, says="a retried delivery is signed anew, with the present time")
    # Token and errors
    token_ends_previous: bool = fact(False, True, says="a new token makes the one before invalid")
    wrong_secret_status: int = fact(400, 401, says="HTTP status for a wrong client id or secret")
    dead_token_code: int = fact(124, 201, says="code of the 401 for a dead token")
    scope_error_status: int = fact(400, 401, says="HTTP status for a missing scope")
    scope_error_code: int = fact(4711, 4700, says="code for a missing scope")
    page_expired_status: int = fact(400, 300, says="HTTP status for a page token older than 15 minutes")
    too_many_a_second: str = fact("bare", "reset", says="429 by the second: without headers, or with X-RateLimit-Reset")
    # Instances
    no_occurrence_id: str = fact("absent", "null", "empty", says="how an instance without an occurrence id says so")
    old_share: float = fact(0.0, 0.0, 0.3, says="share of the world's time whose instances have no occurrence_id yet")
    lists_practice: bool = fact(False, True, says="practice sessions are listed among past instances")
    # Registrants
    deleted_occurrence: str = fact(
        "empty", "listed", "error", says="registrants asked for a deleted occurrence: none, still listed, or error 3000"
    )
    cancelled: str = fact(
        "kept", "gone", says="who cancels everything stays listed for occurrences that had begun, or is gone from all"
    )
    # Reports
    report_delay_minutes_max: int = fact(0, 20, 60, 60, says="minutes after its end until a report is whole, at most")
    early_report: str = fact(
        "mixed", "missing", "empty", "partial", says="a report before that: 404, an empty list, a growing part, or each"
    )
    webinar_duration_unit: str = fact("minutes", "seconds", says="unit of duration in reports of webinars")
    malformed_times: float = fact(0.0, 0.03, says="share of times in reports written like 2022-03-26T08:11:387Z")
    report_months: int = fact(12, 6, says="how far back reports reach")
    milliseconds: bool = fact(False, True, says="times in reports hold milliseconds")
    failover_rows: float = fact(
        0.0, 0.05, says="share of connections with one more row, failover true, within the first"
    )
    last_page_token: str = fact("empty", "absent", says="next_page_token on the last page")
    total_records_wrong: bool = fact(False, True, says="total_records of a paged list is wrong")
    # Delivery log
    log_is_readable: bool = fact(True, True, True, False, says="a server-to-server token may read the delivery log")
    log_bodies: str = fact(
        "whole", "some", "none", says="log entries that hold the event: all, a third and another cut, none"
    )
    log_names_lost: bool = fact(True, False, says="a delivery that was lost for good stands in the log, as failed")


def draw_open_facts(seed: int, overrides: Mapping[str, Any] | None = None) -> OpenFacts:
    """The open facts of a seed, some of them set instead; TypeError for a fact that does not exist."""
    rng = random.Random(f"{seed}/open facts")  # noqa: S311 - invents, guards nothing
    drawn = {f.name: rng.choice(f.metadata["choices"]) for f in fields(OpenFacts)}
    return OpenFacts(**{**drawn, **(overrides or {})})


def list_open_facts() -> list[tuple[str, str, str]]:
    """Every fact as (name, its values, what it says), in order."""
    return [
        (f.name, " ".join(dict.fromkeys(map(_written, f.metadata["choices"]))), str(f.metadata["says"]))
        for f in fields(OpenFacts)
    ]


def read_open_fact(text: str) -> tuple[str, Any]:
    """`name=value` as (name, value); ValueError says which names or values there are."""
    name, _, value = text.partition("=")
    known: dict[str, tuple[Any, ...]] = {f.name: f.metadata["choices"] for f in fields(OpenFacts)}
    if name not in known:
        raise ValueError(f"there is no open fact {name!r}; `joinlog simulate --help` lists them")
    if isinstance(known[name][0], (int, float)) and not isinstance(known[name][0], bool):
        return name, type(known[name][0])(value)
    for choice in known[name]:
        if _written(choice) == value:
            return name, choice
    raise ValueError(f"{name} is one of {', '.join(dict.fromkeys(map(_written, known[name])))}, not {value!r}")


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
