"""The kinds of the join log: each is written by something, and each is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schema.log_kinds import LOG_KINDS, LogKind
from tests.projected_facts import facts_of
from tests.signed_requests import payload_files, read_payload_file

ROOT = Path(__file__).parents[2]
CSS = (ROOT / "webhook/static/joinlog.css").read_text()
OF_LINKS = {LogKind.LINK}  # a decision is no event of Zoom's


def written_kinds() -> set[str]:
    """The kind of every line that a published payload of an event type brings."""
    events = [read_payload_file(event_type) for event_type in payload_files()]
    return {fact.values["kind"] for event in events for fact in facts_of(event) if fact.table == "join_log"}


def test_every_kind_is_written_by_an_event_and_every_line_has_a_kind_of_the_list() -> None:
    assert written_kinds() | OF_LINKS == set(LogKind)


@pytest.mark.parametrize("kind", LogKind)
def test_every_kind_has_a_label_of_its_own_and_a_colour_the_pages_have(kind: LogKind) -> None:
    assert [other for other in LogKind if other.label == kind.label] == [kind]
    assert re.search(rf"^\.{kind.colour}[,\s]", CSS, re.MULTILINE), f"joinlog.css has no .{kind.colour}"
    assert f"--{kind.colour}-bg:" in CSS


def test_a_kind_is_stored_and_compared_as_its_value() -> None:
    assert "joined" in set(LogKind)
    assert str(LogKind.BOUND) == "bound"
    assert LOG_KINDS["joined"] is LogKind.JOINED
