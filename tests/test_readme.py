"""README.md does what it says: its settings are those of the class, its commands exist, its example works."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from joinlog.command import COMMANDS
from schema.settings import Settings
from tests.conftest import free_port
from tests.processes import ROOT, environment, running
from tests.waiting import wait_until
from workers.core.projection import PROJECTIONS

README = (ROOT / "README.md").read_text()


def example(name: str) -> str:
    """The block behind `<!-- example: name -->`."""
    found = re.search(rf"<!-- example: {name} -->\n```\w*\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def test_every_setting_is_listed_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\|", README, re.MULTILINE))
    expected = {
        name.upper(): "" if field.default is None or isinstance(field.default, SecretStr) else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert listed == expected


def test_every_command_is_named() -> None:
    hidden = {"play-demo"}
    assert [name for name in COMMANDS if name not in hidden and f"`joinlog {name}" not in README] == []


def test_every_projected_event_is_named() -> None:
    names = {event.partition(".")[2] or event for event in PROJECTIONS if not event.startswith("joinlog.")}
    assert [name for name in sorted(names) if not re.search(rf"[`.]{name}`", README)] == []


@pytest.mark.faults
@pytest.mark.xdist_group("processes")
def test_the_example_puts_the_instance_on_record(tmp_path: Path) -> None:
    variables = dict(re.findall(r"([A-Z_]+)=(\S+) ", example("run")))
    assert variables == {"ZOOM_WEBHOOK_SECRET_TOKEN": "s3cret"}
    port = str(free_port())

    def shell(script: str) -> str:
        return subprocess.run(
            ["sh", "-ec", script.replace(":8000/", f":{port}/")],
            cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=20, check=True,
        ).stdout  # fmt: skip

    with running(tmp_path, "up", **variables, PORT=port) as up:
        up.says("Ctrl-C stops everything.")
        assert "204 No Content" in shell(example("post"))
        wait_until(lambda: "4444AAAiAAAAAiAiAiiAii==" in shell(example("read")), "the row", timeout_seconds=3)
        assert up.stop() == 0
