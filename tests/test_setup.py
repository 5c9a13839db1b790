"""What `make` fetches is what was fetched when it was tested: everything is pinned, and everything has a hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.processes import ROOT


def read(name: str) -> str:
    return Path(ROOT / name).read_text()


def uv_version() -> tuple[int, ...]:
    found = re.search(r"^uv==(\d+)\.(\d+)\.(\d+) ", read("bootstrap.txt"), re.MULTILINE)
    assert found is not None
    return tuple(int(part) for part in found.groups())


def test_pip_installs_nothing_without_a_hash() -> None:
    commands = re.findall(r"pip install (.*)", read("Makefile"))
    assert commands
    for command in commands:
        assert "--require-hashes" in command
        assert "--only-binary :all:" in command  # what a source distribution builds with has no hash
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", read("bootstrap.txt"))) > 10  # one per platform


def test_uv_builds_joinlog_with_the_backend_it_brings() -> None:
    (requirement,) = tomllib.loads(read("pyproject.toml"))["build-system"]["requires"]
    bounds = re.fullmatch(r"uv_build>=(\d+)\.(\d+),<(\d+)\.(\d+)", requirement)
    assert bounds is not None
    lowest, highest = (int(bounds[1]), int(bounds[2])), (int(bounds[3]), int(bounds[4]))
    assert lowest <= uv_version()[:2] < highest


def test_every_locked_file_has_a_hash() -> None:
    packages = tomllib.loads(read("uv.lock"))["package"]
    assert len(packages) > 20
    for package in packages:
        if "registry" in package["source"]:
            files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
            assert files, package["name"]
            assert all(file["hash"].startswith("sha256:") for file in files), package["name"]
