"""What `deploy/` holds is what a machine takes: units systemd verifies, and one list of processes and settings."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from joinlog.command import main
from schema.settings import Settings
from tests import not_tested
from tests.processes import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
OTHERS = {"DOMAIN", "POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB"}  # of Caddy and Postgres


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        not_tested.skip("the systemd units", "apt-get install systemd")
    command = tmp_path / "joinlog"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    for unit in UNITS:  # the program of the units is not installed here, nor is its user
        text = unit.read_text().replace("/opt/joinlog/.venv/bin/joinlog", str(command)).replace("User=joinlog\n", "")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        [verify, "verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS)],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    about_ours = [line for line in done.stderr.splitlines() if "joinlog" in line]
    assert about_ours == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_each_unit_starts_a_command_there_is_and_may_write_its_own_folder_only(unit: Path) -> None:
    text = unit.read_text()
    started = re.search(r"^ExecStart=/opt/joinlog/.venv/bin/joinlog (\w+)$", text, re.MULTILINE)
    assert started is not None
    assert main.get_command(click.Context(main), started[1]) is not None
    assert unit.stem == f"joinlog-{started[1]}"
    for line in ("User=joinlog", "ProtectSystem=strict", "NoNewPrivileges=yes", "StateDirectory=joinlog"):
        assert f"\n{line}\n" in text


def test_every_setting_that_is_named_is_one() -> None:
    known = {name.upper() for name in Settings.model_fields} | OTHERS
    for name in ("example.env", "joinlog.env"):
        named = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / name).read_text(), re.MULTILINE))
        assert named
        assert named <= known, name
    compose = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"^    ([A-Z_]+):", compose, re.MULTILINE)) <= known
    asked = set(re.findall(r"\$\{([A-Z_]+)", compose))
    assert asked == set(re.findall(r"^([A-Z_]+)=", (DEPLOY / "example.env").read_text(), re.MULTILINE))


def services() -> dict[str, list[str]]:
    """The services of the compose file, each with the lines that describe it."""
    text = (DEPLOY / "compose.yaml").read_text()
    found: dict[str, list[str]] = {}
    for line in re.search(r"^services:\n(.*?)^configs:", text, re.DOTALL | re.MULTILINE)[1].splitlines():  # type: ignore[index]
        if name := re.fullmatch(r"  (\w+):", line):
            found[name[1]] = []
        elif found:
            list(found.values())[-1].append(line)
    return found


def test_compose_runs_every_process_of_the_procfile_with_what_they_need() -> None:
    found = services()
    commands = {command for lines in found.values() for command in re.findall(r"command: \[(\w+)\]", "\n".join(lines))}
    assert commands == set(re.findall(r"joinlog (\w+)$", (ROOT / "Procfile").read_text(), re.MULTILINE))
    assert {"postgres", "valkey", "caddy"} <= found.keys()


def test_the_image_holds_every_package_and_no_other_tool_of_development() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    copied: set[Any] = set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE))
    assert copied == {"joinlog", "schema", "webhook", "workers"}
    assert "--require-hashes" in text
    assert "--no-dev" in text
    assert "\nUSER 10001\n" in text


def test_haproxy_takes_its_file(tmp_path: Path) -> None:
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if haproxy is None:
        not_tested.skip("the file for HAProxy", "apt-get install haproxy")
    path = tmp_path / "haproxy.cfg"
    path.write_text(re.sub(r"web-\d:8000", "127.0.0.1:8000", (DEPLOY / "haproxy.cfg").read_text()))
    done = subprocess.run([haproxy, "-c", "-f", str(path)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
