"""The how-to that sends an event does what it says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.processes import ROOT, environment, running
from tests.waiting import wait_until


def example(name: str, document: str = "docs/how-to/send-it-an-event.md") -> str:
    """The block of code behind `<!-- example: name -->`."""
    found = re.search(rf"<!-- example: {name} -->\n```\w*\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert found is not None
    return found[1]


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
