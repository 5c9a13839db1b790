"""`joinlog sync` against the fake of Zoom's API."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from joinlog.command import main
from joinlog.fakezoom import MIXES, ApiOptions, ApiServer, generate
from schema.store.database import Database
from tests.conftest import SIGNING_KEY
from tests.inbox_to_tables import read_table

WORLD = generate(1, 1, MIXES["calm"], start=datetime(2026, 9, 1, tzinfo=UTC))
MEETING = WORLD.truth.series[0].meeting_id
FACTS = {"report_delay_minutes_max": 0, "report_months": 12}


def run(monkeypatch: pytest.MonkeyPatch, url: str, zoom: ApiServer | None, *arguments: str, secret: str = "") -> Result:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("SECRET_KEY", SIGNING_KEY)
    if zoom is not None:
        options = zoom.api.options
        monkeypatch.setenv("ZOOM_ACCOUNT_ID", zoom.api.accounts[0])
        monkeypatch.setenv("ZOOM_CLIENT_ID", options.client_id)
        monkeypatch.setenv("ZOOM_CLIENT_SECRET", secret or options.client_secret)
        monkeypatch.setenv("ZOOM_API_URL", zoom.api_url)
        monkeypatch.setenv("ZOOM_OAUTH_URL", zoom.oauth_url)
        monkeypatch.setenv("ZOOM_PLAN", "business")
    return CliRunner().invoke(main, ["sync", *arguments])


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_meeting_is_told_whole_and_by_its_number_or_an_instance(
    monkeypatch: pytest.MonkeyPatch, database_url: str, database: Database
) -> None:
    with ApiServer(WORLD, 1, ApiOptions(plan="business", facts=FACTS)) as zoom:
        first = run(monkeypatch, database_url, zoom, str(MEETING))
        assert (first.exit_code, first.stderr) == (0, ""), first.output
        assert {row["uuid"] for row in read_table(database, "instance")} == set(WORLD.truth.instances)
        assert not [call for call in zoom.api.calls if call.status == 429]
        uuid = next(iter(WORLD.truth.instances))
        assert run(monkeypatch, database_url, zoom, uuid, "--dry-run").stdout.startswith("At least ")


def test_wrong_credentials_are_one_line_and_exit_code_1(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    with ApiServer(WORLD, 1, ApiOptions(facts=FACTS)) as zoom:
        told = run(monkeypatch, database_url, zoom, str(MEETING), secret="wrong")
        assert told.exit_code == 1
        assert told.stderr.count("\n") == 1
        assert "Invalid client_id or client_secret" in told.stderr


def test_without_credentials_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    told = run(monkeypatch, database_url, None)
    assert told.exit_code == 2
    assert "ZOOM_ACCOUNT_ID" in told.stderr
