"""The command line as a whole: what it offers, and how it says that something is missing."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from joinlog.command import COMMANDS, main
from tests.processes import OUR_VARIABLES


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in OUR_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_explains_itself(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


def test_help_lists_the_commands_and_keeps_the_inner_one_to_itself() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == ["play-demo"]


def test_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == "joinlog 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "variables", "named"),
    [
        (["web"], {}, "ZOOM_WEBHOOK_SECRET_TOKEN"),
        (["web"], {"ZOOM_WEBHOOK_SECRET_TOKEN": " , "}, "ZOOM_WEBHOOK_SECRET_TOKEN"),
        (["web"], {"ZOOM_WEBHOOK_SECRET_TOKEN": "x"}, "REDIS_URL"),
        (["worker"], {}, "REDIS_URL"),
        (["clock"], {}, "REDIS_URL"),
        (["clock"], {"REDIS_URL": "redis://127.0.0.1:1", "HOST": "0.0.0.0"}, "SECRET_KEY"),  # noqa: S104
        (["up"], {"PORT": "many"}, "PORT"),
        (["migrate"], {"DATABASE_URL": "mysql://u:hunter2@h/d"}, "DATABASE_URL"),
        (["inbox", "list"], {"DATABASE_URL": "sqlite://"}, "DATABASE_URL"),
    ],
)
def test_what_the_environment_lacks_is_one_line_and_exit_code_2(
    arguments: list[str], variables: dict[str, str], named: str
) -> None:
    ended = CliRunner().invoke(main, arguments, env=variables)
    assert ended.exit_code == 2
    assert ended.stderr.startswith("joinlog: ")
    assert named in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "hunter2" not in ended.output


def test_a_database_that_does_not_answer_is_one_line_and_exit_code_1() -> None:
    url = "postgresql://joe:hunter2@127.0.0.1:1/joinlog"
    ended = CliRunner().invoke(main, ["inbox", "list"], env={"DATABASE_URL": url})
    assert ended.exit_code == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "hunter2" not in ended.output
