"""A line that cannot be written is lost and counted; nobody fails over it, and nobody waits for it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.lossy_stream import CHUNK_BYTES, LossyStream
from tests.processes import ROOT


@pytest.fixture
def pipe() -> Iterator[tuple[int, LossyStream]]:
    """Where a reader reads, and a stream that ends there."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", closefd=False) as file:
        yield reader, LossyStream(file)
    for descriptor in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def fill(writer: int) -> int:
    """Fill a pipe to the brim; returns how many bytes that took."""
    os.set_blocking(writer, False)
    size = 0
    try:
        while True:
            size += os.write(writer, b"." * CHUNK_BYTES)
    except BlockingIOError:
        os.set_blocking(writer, True)
        return size


def test_lines_arrive_whole_and_in_one_piece(pipe: tuple[int, LossyStream]) -> None:
    reader, stream = pipe
    print("one", "é", file=stream)
    stream.write("two\nthree")
    assert os.read(reader, 100) == "one é\ntwo\n".encode()
    stream.flush()
    assert os.read(reader, 100) == b"three"
    stream.write("\N{FIRE ENGINE}" * CHUNK_BYTES + "\n")
    assert len(os.read(reader, 10 * CHUNK_BYTES)) == 4 * CHUNK_BYTES + 1
    assert stream.lost_lines == 0


def test_a_reader_that_is_gone_costs_lines_and_nothing_else(pipe: tuple[int, LossyStream]) -> None:
    reader, stream = pipe
    os.close(reader)
    for _ in range(3):
        assert stream.write("line\n") == 5
    stream.flush()
    assert stream.lost_lines == 3


def test_a_reader_that_has_stopped_reading_is_not_waited_for(pipe: tuple[int, LossyStream]) -> None:
    reader, stream = pipe
    size = fill(stream.fileno())
    for _ in range(50):
        stream.write("line\n")
    assert stream.lost_lines == 50
    while size:
        size -= len(os.read(reader, size))
    stream.write("again\n")
    assert os.read(reader, 100) == b"again\n"
    assert stream.lost_lines == 0


def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    with open("/dev/full", "w") as file:
        stream = LossyStream(file)
        stream.write("one\ntwo\n")
        stream.write("rest")
        stream.flush()
        assert stream.lost_lines == 3


def test_what_is_closed_or_no_file_takes_everything(tmp_path: Path) -> None:
    closed = (tmp_path / "log").open("w")
    stream = LossyStream(closed)
    closed.close()
    memory = io.StringIO()
    for each in (stream, LossyStream(None), LossyStream(closed), LossyStream(memory)):
        each.write("line\n")
        each.flush()
        assert not each.isatty()
    assert memory.getvalue() == "line\n"


LIMITED = """
import resource, sys, structlog
from schema.logs import configure_logs
from schema.settings import Settings
configure_logs(Settings(log_format="json"), "test")
log = structlog.get_logger()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), hard))
for number in range(20):
    log.info("before", number=number)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
log.info("after")
log.info("last")
"""


def test_after_a_full_disk_lines_are_whole_again_and_the_first_says_how_many_were_lost(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as output:
        code = subprocess.run(
            [sys.executable, "-c", LIMITED, "1000"], stderr=output, stdout=output, cwd=ROOT, check=False
        ).returncode
    assert code == 0
    *whole, cut, after, last = path.read_text().splitlines()
    assert [json.loads(line)["number"] for line in whole] == list(range(len(whole)))
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut)
    assert (json.loads(after)["event"], json.loads(after)["lines_lost"]) == ("after", 20 - len(whole))
    assert "lines_lost" not in json.loads(last)


def test_a_process_without_standard_streams_writes_into_no_file_by_mistake(tmp_path: Path) -> None:
    """Where descriptor 2 is closed, the next file that is opened would become standard error."""
    code = (
        "import os; [os.close(n) for n in (0, 1, 2)]; from joinlog.command import main\n"
        "import sys, click\n"
        "@main.command('probe')\n"
        "def probe():\n"
        "    file = open('precious', 'w'); os.write(2, b'noise'); os.write(1, b'noise'); file.write('kept')\n"
        "import joinlog.command as c; c.COMMANDS = {'probe': 'x:y'}\n"
        "type(main).get_command = lambda self, ctx, name: probe\n"
        "main(['probe'])\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert (tmp_path / "precious").read_text() == "kept"
