"""The documents against the project: links, paths, commands, settings and events they name, and the tutorial played."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from pydantic import SecretStr

from joinlog.command import COMMANDS, main
from joinlog.fakezoom import demo_world
from schema.settings import Settings
from schema.store.database import Database
from tests.inbox_to_tables import one, take
from tests.processes import ROOT, environment
from workers.core.projection import PROJECTIONS

DOCS = ROOT / "docs"
KINDS = {"tutorial", "how-to", "explanation", "reference"}
NOT_OURS = {".venv", ".bootstrap", ".git", "node_modules", ".pytest_cache"}
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not NOT_OURS & set(path.relative_to(ROOT).parts))

COMING: set[str] = set()
"""Named in the documents and not there yet; ARCHITECTURE.md marks them with a star."""

LIVE_FOR = timedelta(minutes=2)  # how long the demo of the tutorial has run


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def reference(name: str) -> str:
    return (DOCS / "reference" / f"{name}.md").read_text()


def prose_of(text: str) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)


def code_of(text: str) -> Iterator[str]:
    """Every line of a shell block, continued ones joined, and every `inline` code."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", prose_of(text))


# --- links and paths --------------------------------------------------------------------------------------------


def anchors_of(path: Path) -> set[str]:
    """The anchors GitHub gives the headings of a document."""
    titles = re.findall(r"^#+ (.+)$", prose_of(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(document.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        place = (document.parent / file).resolve() if file else document
        if not place.exists() or (anchor and anchor not in anchors_of(place)):
            broken.append(target)
    assert broken == []


def paths_in(text: str) -> Iterator[str]:
    """What stands in backticks and looks like a path of this project."""
    rooms = {entry.name for entry in ROOT.iterdir() if entry.is_dir()}
    for word in re.findall(r"`([\w.-]+(?:/[\w.-]+)*/?)`", text):
        if ("/" in word and word.partition("/")[0] in rooms) or word.endswith((".md", ".toml", ".lock", ".yaml")):
            yield word


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_a_document_names_exists(document: Path) -> None:
    paths = set(paths_in(prose_of(document.read_text()))) - COMING
    assert {path for path in paths if not (ROOT / path).exists() and not (document.parent / path).exists()} == set()


def test_what_is_coming_is_marked_and_is_taken_off_the_list_once_it_is_there() -> None:
    assert set(re.findall(r"`([\w./]+)`\*(?!\*)", (ROOT / "ARCHITECTURE.md").read_text())) == COMING
    assert {path for path in COMING if (ROOT / path).exists()} == set()


def test_the_index_lists_every_page_and_every_page_is_of_a_kind() -> None:
    listed = set(re.findall(r"\]\(([^)#]+)\)", (DOCS / "README.md").read_text()))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - {"README.md"}
    assert pages - listed == set()
    assert {page.partition("/")[0] for page in pages} == KINDS


# --- what they name ---------------------------------------------------------------------------------------------


def commands_in(text: str) -> Iterator[list[str]]:
    """The words behind each `joinlog` of a document's code, up to a pipe, a comment or the next command."""
    for code in code_of(text):
        found = re.search(r"(?:^|[ ;(/])joinlog +([^|#;&>)]+)", code)
        if found is not None:
            yield shlex.split(found[1].replace("'", " "))


def what_is_wrong_with(words: list[str]) -> str | None:
    """Why these words are no command of ours; None when they are one."""
    command: click.Command = main
    with click.Context(main) as context:
        for word in words:
            if isinstance(command, click.Group) and not word.startswith("-"):
                found = command.get_command(context, word)
                if found is None:
                    return f"no command {word}"
                command = found
            elif word.startswith("--"):
                options = {name for parameter in command.get_params(context) for name in parameter.opts}
                if word.partition("=")[0] not in options:
                    return f"{command.name} has no option {word}"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_a_document_names_exists_with_its_options(document: Path) -> None:
    wrong = [(words, what) for words in commands_in(document.read_text()) if (what := what_is_wrong_with(words))]
    assert wrong == []


def test_every_setting_stands_in_the_reference_as_in_the_code() -> None:
    listed = re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\| (.*) \|$", reference("settings"), re.MULTILINE)
    expected = [
        (
            name.upper(),
            "" if field.default is None or isinstance(field.default, SecretStr) else str(field.default),
            field.description,
        )
        for name, field in Settings.model_fields.items()
    ]
    assert listed == expected


def test_every_command_stands_in_the_reference() -> None:
    hidden = {"play-demo"}
    missing = [name for name in COMMANDS if name not in hidden and f"`joinlog {name}" not in reference("commands")]
    assert missing == []


def test_every_projected_event_stands_in_the_reference_and_no_other() -> None:
    listed = set()
    for name, webinar, meeting in re.findall(
        r"^\| `(\w+)` \| (yes)? ?\| (yes)? ?\|", reference("events"), re.MULTILINE
    ):
        listed |= {f"{kind}.{name}" for kind, is_theirs in (("webinar", webinar), ("meeting", meeting)) if is_theirs}
    with_a_kind = {event for event in PROJECTIONS if event.startswith(("webinar.", "meeting."))}
    assert listed == with_a_kind
    others = {event for event in PROJECTIONS if not event.startswith("joinlog.")} - with_a_kind
    assert [event for event in others if f"| `{event}` |" not in reference("events")] == []


# --- the tutorial -----------------------------------------------------------------------------------------------


def test_the_tutorial_ends_with_as_many_names_as_the_report_counts(sqlite_database: Database, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    told = [emission.event for emission in demo_world(now, seed=7).emissions if emission.at <= now + LIVE_FOR]
    take(sqlite_database, *told)
    query = "SELECT meeting_id, uuid, link_evidence FROM needs_review WHERE link_state = 'conflict'"
    undecided = one(sqlite_database, query)
    reason = re.search(r"registered for (\d+) were in it, and the schedule says otherwise", undecided["link_evidence"])
    assert reason is not None
    sqlite_database.close()
    for path in tmp_path.glob("joinlog.db*"):
        path.rename(path.with_name(path.name.replace("joinlog", "demo")))
    said = play_tutorial(tmp_path, undecided["meeting_id"], undecided["uuid"], occurrence := reason[1])
    assert "conflict" in said["links"]
    assert "unscheduled" in said["links"]
    assert f"{undecided['uuid']}: confirmed {occurrence}" in said["link-set"]
    assert "the tables are what the inbox says" in said["check"]
    query = "SELECT no_shows, attended FROM occurrence_report WHERE occurrence_id = ?"
    demo = Database(f"sqlite:///{tmp_path / 'demo.db'}")
    counted = one(demo, query, (occurrence,))
    demo.close()
    title, _heading, *absent = said["no-shows"].splitlines()
    assert title == f"{counted['no_shows']} no-shows"
    assert len(absent) == counted["no_shows"] > 10
    with (tmp_path / "week-3.csv").open(newline="") as table:
        came = list(csv.DictReader(table))
    assert len(came) == counted["attended"]


def play_tutorial(folder: Path, meeting_id: int, uuid: str, occurrence_id: str) -> dict[str, str]:
    """Run the examples one after the other in one shell, with these values; what each printed, by name."""
    document = (DOCS / "tutorial" / "from-first-run-to-report.md").read_text()
    examples = re.findall(r"<!-- example: ([a-z -]+) -->\n```sh\n(.*?)```", document, re.DOTALL)
    values = f"meeting={meeting_id} instance={uuid} occurrence={occurrence_id}"
    script = "".join(f"echo '=== {name}'\n{re.sub('(?m)^meeting=.*$', values, code)}" for name, code in examples)
    command = folder / ".venv" / "bin" / "joinlog"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m joinlog "$@"\n')
    command.chmod(0o700)
    done = subprocess.run(
        ["sh", "-ec", script], cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^=== ([a-z -]+)\n(.*?)(?=^=== |\Z)", done.stdout, re.DOTALL | re.MULTILINE))
