"""Secrets: read from files that nobody else can read, held as SecretStr, never put into a message, a log or a file.

A file is opened once and judged by what was opened, so that it can't be exchanged between the look and the read.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from keeper.domain.errors import ConfigError, Problem
from keeper.ports import Environment
from keeper.settings.addresses import SECRETS, SUPPORTED
from keeper.settings.keys import dotted
from keeper.settings.masking import display
from keeper.settings.sections import VenueSettings

_LONGEST = 65536
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a secret can't be used. path: of its key; value: the file's name, None where there is no key; remedy: what to do."""

    path: tuple[str, ...]
    value: str | None
    remedy: str


def read_secret(path: Path) -> SecretStr:
    """The secret in the file at ``path``, less one newline at its end. ConfigError unless the file is ours and for us only."""
    found = _examine(path)
    if isinstance(found, str):
        raise ConfigError(Problem(str(path), "(secret file)", display((), str(path)), found))
    return found


def credentials_of(name: str, venue: VenueSettings) -> dict[str, SecretStr]:
    """What signs for the venue called ``name``, by the configuration's names. ConfigError when it is missing or unfit."""
    found = {part: _part(name, venue, part) for part in _parts(venue)}
    unfit = [each for each in found.values() if isinstance(each, Unfit)]
    if unfit:
        raise ConfigError(
            *(
                Problem(each.value or f"venue {name}", dotted(each.path), display(each.path, each.value), each.remedy)
                for each in unfit
            )
        )
    return {part: each for part, each in found.items() if isinstance(each, SecretStr)}


def unfit_secrets(name: str, venue: VenueSettings) -> Iterator[Unfit]:
    """What is wrong with the keys of the venue called ``name``; nothing on paper."""
    if venue.environment is Environment.PAPER:
        return
    for part in _parts(venue):
        found = _part(name, venue, part)
        if isinstance(found, Unfit):
            yield found


def account_fingerprint(name: str, venue: VenueSettings) -> str:
    """A short id of the account behind a venue: the same keys give the same id, which does not lead back to them.

    ConfigError when the keys can't be read. A paper account is told by the venue's name alone.
    """
    if venue.environment is Environment.PAPER:
        return f"paper-{name}"
    key = next(iter(credentials_of(name, venue).values())).get_secret_value()
    return hashlib.sha256(f"{venue.exchange}\x1f{venue.environment}\x1f{key}".encode()).hexdigest()[:16]


def _parts(venue: VenueSettings) -> tuple[str, ...]:
    """What signs for an account: what its exchange is known to want, else whatever is there."""
    told = venue.credentials
    given = tuple(part for part in (*SECRETS, "wallet_address") if getattr(told, part) or getattr(told, f"{part}_file", None))
    return SUPPORTED.get(venue.exchange) or given or ("api_key", "secret")


def _part(name: str, venue: VenueSettings, part: str) -> SecretStr | Unfit:
    held = getattr(venue.credentials, part)
    if isinstance(held, SecretStr):
        return held
    if part == "wallet_address":
        remedy = "name the address of the account, 0x and 40 hexadecimal digits, not that of the wallet that signs for it"
        return SecretStr(held) if held else Unfit(("venues", name, "credentials", part), None, remedy)
    path = ("venues", name, "credentials", f"{part}_file")
    file = getattr(venue.credentials, f"{part}_file")
    if file is None:
        variable = "__".join(("KEEPER", *path[:-1], part)).upper()
        return Unfit(path, None, f"a fund trades here: name a file that holds the {part.replace('_', ' ')}, or set {variable}")
    found = _examine(Path(file))
    return Unfit(path, str(file), found) if isinstance(found, str) else found


def _examine(path: Path) -> SecretStr | str:
    """The secret, or the remedy."""
    try:
        # O_NONBLOCK: opening a named pipe would wait for a writer
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return cannot_open(error)
    except ValueError:
        return "a file's name holds no NUL"
    try:
        refused = refusal(os.fstat(opened), path, user=os.geteuid())
        return refused or _content(os.read(opened, _LONGEST + 1))
    finally:
        os.close(opened)


def cannot_open(error: OSError) -> str:
    """What to do about a secret file that does not open."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "no such file: make it with mode 600 (a relative name starts at the configuration file's directory)"
        case errno.ELOOP:
            return "is a symbolic link: name the file itself"
        case errno.EACCES | errno.EPERM:
            return "can't be read by this user: chown it to the user that runs keeper, and chmod 600"
        case _:
            return f"can't be opened ({(error.strerror or 'unknown').lower()}): name a readable file"


def refusal(status: os.stat_result, path: Path, *, user: int) -> str | None:
    """Why a file with this status must not hold a secret of ``user`` (numeric id); None when it may."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file: name a file that holds nothing but the secret"
    if status.st_uid not in (user, 0):
        return f"belongs to user {status.st_uid}, who could change it: chown it to the user that runs keeper"
    if status.st_mode & _OTHERS:
        return f"is open to other users (mode {stat.S_IMODE(status.st_mode):o}): chmod 600 {path}"
    return None


def _content(raw: bytes) -> SecretStr | str:
    if len(raw) > _LONGEST:
        return "is too long for a secret: name a file that holds nothing but the secret"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "is not text: name a file that holds nothing but the secret"
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        return "is empty: write the secret into it"
    if not (text.isascii() and text.isprintable() and " " not in text):
        return "holds a space or a character that no key has: write the key alone on one line"
    return SecretStr(text)
