"""What is wrong with the folder Joinlog runs in or with its database, and how to mend it.

`joinlog up` and `joinlog doctor` ask before anything is opened; every command explains a database error with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import URL

from joinlog.redis_server import URL_FILE
from schema.settings import KEY_FILE, ConfigurationError, Settings, without_password
from schema.store.dialect import dialect_for, read_url


class Trouble(NamedTuple):
    """What is wrong, and what to do about it."""

    says: str
    mend: str

    def __str__(self) -> str:
        return f"{self.says}. {self.mend[:1].upper()}{self.mend[1:]}."


def look_at_folder(settings: Settings) -> Iterator[Trouble]:
    """What cannot be written into the folder Joinlog is started in; nothing when all is well, or nothing has to be."""
    here = Path.cwd()
    wanted = []
    if settings.secret_key is None and settings.is_loopback and not KEY_FILE.exists():
        wanted.append((KEY_FILE.name, "SECRET_KEY"))
    if settings.redis_url is None:
        wanted.append((URL_FILE.name, "REDIS_URL"))
    if wanted and not os.access(here, os.W_OK):
        files = " and ".join(file for file, _ in wanted)
        instead = " and ".join(variable for _, variable in wanted)
        yield Trouble(
            f"nothing can be written in the folder {here}, where Joinlog would make {files}",
            f"start it in a folder that this user may write to, or set {instead}",
        )


def look_at_file_of(database_url: str) -> Iterator[Trouble]:
    """What keeps SQLite from making or changing its file; nothing for a server."""
    try:
        url = read_url(database_url)
    except ConfigurationError:
        return  # which says so itself
    if not dialect_for(url).has_one_writer or not url.database:
        return
    path = Path(url.database)
    folder = path.absolute().parent
    if not folder.is_dir():
        yield Trouble(
            f"the folder {folder} of DATABASE_URL={database_url} does not exist",
            f"make it (mkdir -p {folder}), or correct DATABASE_URL: four slashes begin an absolute path, three one in "
            "this folder",
        )
    elif path.is_dir():
        yield Trouble(f"DATABASE_URL={database_url} names a folder", "name a file in it")
    elif not os.access(folder, os.W_OK):
        yield Trouble(
            f"nothing can be written in the folder {folder}, where SQLite keeps {path.name} and two files beside it",
            "make the folder writable, or set DATABASE_URL to a file in another one",
        )
    elif path.exists() and not os.access(path, os.W_OK):
        yield Trouble(f"the file {path} cannot be written", f"let this user write it (chmod u+w {path}*)")


def explain_database(database_url: str, error: BaseException) -> Trouble:
    """What an error of the database says, and what to do about it. Passwords are not repeated."""
    for trouble in look_at_file_of(database_url):
        return trouble
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    reason = lines[0].rstrip(".") if lines else type(error).__name__
    url = read_url(database_url)
    if dialect_for(url).has_one_writer:
        return _explain_file(url, reason)
    return _explain_server(url, without_password(database_url), reason)


def _explain_file(url: URL, reason: str) -> Trouble:
    if "not a database" in reason or "malformed" in reason:
        return Trouble(
            f"{url.database} is no database of SQLite's, or a damaged one ({reason})",
            "put it aside and restore a backup, or correct DATABASE_URL; docs/how-to/back-up-and-restore.md says how",
        )
    if "locked" in reason:
        return Trouble(f"another process holds {url.database} ({reason})", "try again; `lsof` names who does")
    if "full" in reason:
        return Trouble(f"the disk of {url.database} is full", "make room, and start again: nothing is lost")
    return Trouble(f"the database {url.database}: {reason}", "see what `joinlog doctor` says")


def _explain_server(url: URL, shown: str, reason: str) -> Trouble:
    if "password authentication failed" in reason or "no password supplied" in reason:
        return Trouble(f"Postgres does not let us in ({shown})", "correct user and password in DATABASE_URL")
    if "does not exist" in reason and "database" in reason:
        return Trouble(f"Postgres answers, and has no database {url.database}", f"make it: createdb {url.database}")
    if any(word in reason for word in ("refused", "No such file", "timeout", "timed out", "resolve", "not known")):
        return Trouble(
            f"Postgres does not answer ({shown}: {reason})",
            "start it, or correct host and port in DATABASE_URL",
        )
    return Trouble(f"the database {shown}: {reason}", "see what `joinlog doctor` says")
