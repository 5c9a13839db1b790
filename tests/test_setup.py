"""What `make` fetches is pinned and has a hash; with whichever Python it finds it sets up, or says what helps."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.not_tested import last_line
from tests.processes import ROOT


def read(name: str) -> str:
    return Path(ROOT / name).read_text()


def uv_version() -> tuple[int, ...]:
    found = re.search(r"^uv==(\d+)\.(\d+)\.(\d+) ", read("bootstrap.txt"), re.MULTILINE)
    assert found is not None
    return tuple(int(part) for part in found.groups())


def test_pip_installs_nothing_without_a_hash() -> None:
    commands = re.findall(r"-m pip install (.*)", read("bootstrap.sh").replace("\\\n", " "))
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


def test_every_package_has_a_wheel_for_each_python_we_support() -> None:
    wheels = {
        package["name"]: [wheel["url"] for wheel in package.get("wheels", [])]
        for package in tomllib.loads(read("uv.lock"))["package"]
    }
    for name, urls in wheels.items():
        if any("-cp313-" in url for url in urls):
            for version in ("cp311", "cp312", "cp314"):
                assert any(f"-{version}-" in url or "-abi3-" in url for url in urls), (name, version)


# --- with whichever Python there is -----------------------------------------------------------------------------------

PYTHON = r"""#!/bin/sh
# Says it is Python {version}; with `-m venv` it makes a folder whose pip "installs" a uv that does as `uv` below.
case "$*" in
*'(3, 11)'*) exit {unsuitable} ;;
*'(3, 8)'*) exit {ancient} ;;
*sys.executable*) echo "{path}" ;;
--version) echo "Python {version}" ;;
"-m venv --clear .bootstrap")
    {venv}
    mkdir -p .bootstrap/bin && printf '#!/bin/sh\n{pip}\n' >.bootstrap/bin/python && chmod +x .bootstrap/bin/python ;;
esac
"""
UV = r"""#!/bin/sh
echo "$*" >>uv.log
case "$*" in
"python find"*) {find} ;;
"python install"*) {fetch} ;;
sync*) {sync} ;;
esac
"""


def set_up(
    folder: Path,
    version: str,
    *,
    find: str = "exit 1",
    fetch: str = "exit 1",
    venv: str = ":",
    pip: str = "",
    sync: str = "mkdir .venv",
) -> subprocess.CompletedProcess[str]:
    """Run bootstrap.sh in this folder with a python3 of this version, which is nowhere else."""
    (folder / "bin").mkdir()
    for name in ("sh", "mkdir", "printf", "chmod", "touch", "tail", "rm", "cp"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    if version:
        number = tuple(map(int, version.split(".")[:2]))
        python = PYTHON.format(
            version=version, unsuitable=int(not (3, 11) <= number <= (3, 14)), ancient=int(number < (3, 8)),
            path=folder / "bin" / "python3", venv=venv, pip=pip or "cp uv .bootstrap/bin/uv",
        )  # fmt: skip
        write_program(folder / "bin" / "python3", python)
    write_program(folder / "uv", UV.format(find=find, fetch=fetch, sync=sync))
    for name in ("bootstrap.sh", "bootstrap.txt"):
        (folder / name).write_text(read(name))
    return subprocess.run(
        ["/bin/sh", "bootstrap.sh"], cwd=folder, env={"PATH": str(folder / "bin"), "HOME": str(folder), "GOAL": "run"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o700)


def uv_was_told(folder: Path) -> list[str]:
    log = folder / "uv.log"
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("version", ["3.11.7", "3.12.1", "3.13.0", "3.14.2"])
def test_a_python_that_suits_is_the_one_that_is_used(tmp_path: Path, version: str) -> None:
    done = set_up(tmp_path, version)
    assert (done.returncode, done.stderr) == (0, "")
    assert uv_was_told(tmp_path) == [f"sync --quiet --frozen --compile-bytecode --python {tmp_path}/bin/python3"]


@pytest.mark.parametrize("version", ["3.9.18", "3.10.13", "3.15.0"])
def test_beside_one_that_does_not_suit_another_one_is_found(tmp_path: Path, version: str) -> None:
    done = set_up(tmp_path, version, find="echo /opt/python3.13")
    assert done.returncode == 0, done.stderr
    assert f"Python {version}" in done.stderr
    assert uv_was_told(tmp_path)[-1] == "sync --quiet --frozen --compile-bytecode --python /opt/python3.13"


def test_where_there_is_no_other_one_uv_downloads_one(tmp_path: Path) -> None:
    find = "[ -e downloaded ] && echo /uv/python3.13 || exit 1"
    done = set_up(tmp_path, "3.10.13", find=find, fetch="touch downloaded")
    assert done.returncode == 0, done.stderr
    assert uv_was_told(tmp_path)[-1] == "sync --quiet --frozen --compile-bytecode --python /uv/python3.13"


@pytest.mark.parametrize(
    ("version", "broken", "helps"),
    [
        ("", {}, "make PYTHON=/usr/bin/python3.12 run"),
        ("2.7.18", {}, "make PYTHON=/usr/bin/python3.12 run"),
        ("3.7.16", {}, "make PYTHON=/usr/bin/python3.12 run"),
        ("3.10.13", {}, "make PYTHON=/usr/bin/python3.12 run"),
        ("3.12.1", {"venv": "echo ensurepip is not available; exit 1"}, "apt-get install python3-venv"),
        ("3.12.1", {"pip": "exit 1"}, "HTTPS_PROXY"),
        ("3.12.1", {"sync": "exit 1"}, "try again: make run"),
    ],
)
def test_where_it_cannot_be_set_up_one_line_says_what_helps(
    tmp_path: Path, version: str, broken: dict[str, str], helps: str
) -> None:
    done = set_up(tmp_path, version, **broken)
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line.startswith("joinlog: ")]
    assert len(said) == 1
    assert helps in said[0]
    assert version in said[0] or broken
    assert not (tmp_path / ".venv" / ".ready").exists()


# --- what could not be tested -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reasons", "says"),
    [
        ((), None),
        (("Skipped: Linux only",), None),
        (
            ("Skipped: NOT TESTED: the pages (get a browser)", "Skipped: NOT TESTED: the pages (get a browser)"),
            "NOT TESTED: the pages (get a browser).",
        ),
    ],
)
def test_the_last_line_names_each_thing_once(reasons: Sequence[str], says: str | None) -> None:
    assert last_line(reasons) == says


def test_without_a_browser_the_last_line_says_what_was_not_tested() -> None:
    test = "tests/browser/test_pages.py::test_health_says_what_was_refused"
    hidden = {"PATH": "/nowhere", "PLAYWRIGHT_BROWSERS_PATH": "/nowhere", "HOME": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=ROOT, env=hidden, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    last = done.stdout.splitlines()[-1]
    assert last.startswith("NOT TESTED: the pages"), done.stdout
    assert "apt-get install chromium" in last
