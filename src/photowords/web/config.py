"""What the server was started with, and where things lie in the folder of runs."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from photowords import files
from photowords.errors import UserError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PASSWORD = "PHOTOWORDS_PASSWORD"
"""The environment's variable that holds the password."""
LEAST_PASSWORD = 12
OWNER_ONLY = 0o600


@dataclass(frozen=True)
class Config:
    """What the server was started with.

    Attributes:
        runs: the folder of runs; in its hidden folder lies what belongs to no run.
        studies: the folder of studies.
        model, device, dtype: as ``backbones.load`` takes them.
        segmenter: as ``segmentation.load`` takes it.
        host: to listen on.
        token: opens the page.
        password: opens it as well, where one was set.
    """

    runs: Path
    studies: Path
    model: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    segmenter: str | None = None
    host: str = LOOPBACK[0]
    token: str = ""
    password: str | None = None

    @property
    def own(self) -> Path:
        """What belongs to no run: photos, pictures of no run, what was deleted, the token."""
        return self.runs / ".photowords"

    @property
    def photos(self) -> Path:
        return self.own / "photos"

    @property
    def pictures(self) -> Path:
        return self.own / "pictures"

    @property
    def trash(self) -> Path:
        return self.own / "trash"

    @property
    def passing(self) -> Path:
        """What is made to be given out at once: exports, zips."""
        return self.own / "passing"

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach the page."""
        return self.host not in LOOPBACK


def prepare(config: Config) -> None:
    """Make the folders, and clear what a server that was killed had not given out yet.

    Raises UserError where they cannot be made or one is a link to somewhere else.
    """
    for folder in (config.runs, config.own, config.photos, config.pictures, config.trash):
        files.make_folder(folder)
    for folder in (config.own, config.photos, config.pictures, config.trash):
        if folder.is_symlink() or not folder.is_dir():
            raise UserError(f"{folder} is no folder; remove it")
    shutil.rmtree(config.passing, ignore_errors=True)
    files.make_folder(config.passing)


def read_token(runs: Path) -> str:
    """The token that opens the page of this folder of runs, made at the first time and readable by its owner only: so
    a page that is open goes on when the server is started again."""
    path = runs / ".photowords" / "token"
    files.make_folder(path.parent)
    with suppress(OSError, ValueError):
        path.chmod(OWNER_ONLY)  # a copy of the folder may have forgotten it
        if len(token := path.read_text(encoding="ascii").strip()) >= 32:
            return token
    token = secrets.token_urlsafe(32)
    with files.atomic(path) as temporary:
        temporary.touch(OWNER_ONLY)  # before anything is in it
        temporary.write_text(token + "\n", encoding="ascii")
    return token


def read_password(host: str, wanted: bool) -> str | None:
    """The password of the environment, if it is wanted.

    Raises UserError where it is not there or short, and where other machines could reach a page without one.
    """
    if not wanted:
        if host not in LOOPBACK:
            raise UserError(
                f"`host` {host} lets other machines in: add `password`, with the password in the environment variable "
                f"{PASSWORD}, or leave `host` out and use an SSH tunnel"
            )
        return None
    password = os.environ.get(PASSWORD, "")
    if len(password) < LEAST_PASSWORD:
        raise UserError(f"`password` needs one of at least {LEAST_PASSWORD} characters in the variable {PASSWORD}")
    return password
