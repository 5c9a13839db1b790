"""The environment: what it may say, what is refused with a way out, and what is never shown."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schema.settings import ConfigurationError, Settings, read_settings, without_password

NEW, OLD = "the-newer-of-two-keys", "the-older-of-two-keys"
ANYWHERE = "0.0.0.0"  # noqa: S104 - a name, nothing binds here
NAMES = [name.upper() for name in Settings.model_fields]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def read(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def test_an_empty_environment_has_a_default_for_everything_but_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch)
    assert settings.database_url == "sqlite:///joinlog.db"
    assert settings.zoom_secrets == ()
    assert settings.redis_url is None
    assert settings.base_url == "http://127.0.0.1:8000"


@pytest.mark.parametrize("secret", ["", "   ", ",", " , ,", "\t"])
def test_an_empty_secret_is_no_secret(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, ZOOM_WEBHOOK_SECRET_TOKEN=secret).zoom_secrets == ()


def test_several_secrets_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, ZOOM_WEBHOOK_SECRET_TOKEN="one, two,,three ").zoom_secrets == (b"one", b"two", b"three")


@pytest.mark.parametrize("name", ["ZOOM_WEBHOOK_SECRET_TOKEN", "SECRET_KEY"])
def test_a_secret_is_not_shown_with_the_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, **{name: "hush-hush"})
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)
    assert "hush" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hush@host:5432/db", "postgresql://u:***@host:5432/db"),
        ("postgresql://u:h%40sh:ush@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u:hush@sh@host/db", "postgresql://u:***@host/db"),
        ("redis://:hush@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql://host/db?user=u&password=hush&x=1", "postgresql://host/db?user=u&password=***&x=1"),
        ("postgresql://u@host/db", "postgresql://u@host/db"),
        ("sqlite:///joinlog.db", "sqlite:///joinlog.db"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


# --- keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environment",
    [{"HOST": ANYWHERE}, {"HOST": "10.1.2.3"}, {"HOST": "::"}, {"PUBLIC_URL": "https://joinlog.example"}],
)
def test_outside_loopback_a_secret_key_is_required(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        _ = read(monkeypatch, **environment).signing_keys
    assert not Path(".joinlog-key").exists()
    assert read(monkeypatch, SECRET_KEY=f"{NEW},{OLD}").signing_keys == (OLD.encode(), NEW.encode())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_the_processes_of_a_folder_share_a_key_file(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(monkeypatch, HOST=host).signing_keys
    assert first == read(monkeypatch, HOST=host).signing_keys
    assert len(first[0]) >= 32
    path = Path(".joinlog-key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in Path().iterdir()] == [".joinlog-key"]


def test_of_two_processes_that_make_the_key_at_once_the_first_ones_is_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    other_key = b"the key of the process that was quicker"
    original = os.link

    def slower(source: Any, target: Any) -> None:
        Path(target).write_bytes(other_key)
        original(source, target)

    monkeypatch.setattr("schema.settings.os.link", slower)
    assert read(monkeypatch).signing_keys == (other_key,)
    assert [entry.name for entry in Path().iterdir()] == [".joinlog-key"]


def test_processes_that_start_together_agree_on_the_key() -> None:
    program = "input(); from schema.settings import read_settings; print(read_settings().signing_keys)"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(),
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = {process.communicate()[0] for process in processes}
    assert len(said) == 1
    assert "b'" in said.pop()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.mark.parametrize("content", [b"", b"short", b"   \n"])
def test_a_key_file_without_a_key_is_refused(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".joinlog-key").write_bytes(content)
    with pytest.raises(ConfigurationError, match="Remove it"):
        _ = read(monkeypatch).signing_keys


# --- the rest ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"), ("PORT", "70000"), ("WEB_THREADS", "0"), ("LOG_LEVEL", "loud"),
        ("SIGNATURE_TOLERANCE_SECONDS", "1"), ("CLOCK_SECONDS", "0"), ("TRUSTED_PROXIES", "-1"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read(monkeypatch, **{name: value})


def test_a_refused_environment_does_not_show_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(monkeypatch, PORT="http", ZOOM_WEBHOOK_SECRET_TOKEN="hush", DATABASE_URL="postgres://u:hush@h/d")
    assert "hush" not in str(refused.value)


def test_zooms_last_retry_fits_into_the_default_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch).signature_tolerance_seconds > 85 * 60


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_says_what_it_is_for(name: str) -> None:
    assert Settings.model_fields[name.lower()].description


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"PUBLIC_URL": "https://joinlog.example/"}, "https://joinlog.example"),
        ({"HOST": ANYWHERE, "PORT": "80"}, "http://127.0.0.1:80"),
        ({"HOST": "::1"}, "http://[::1]:8000"),
        ({"PUBLIC_URL": " "}, "http://127.0.0.1:8000"),
    ],
)
def test_the_base_url_is_how_others_reach_this_server(
    environment: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(monkeypatch, **environment).base_url == url
