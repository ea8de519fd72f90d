"""The configuration file as text: its table, and on which line each key stands. Judges syntax only.

tomllib tells no positions, so the lines are found by reading headers and keys a second time. A key that can't be found that
way is reported with the line of the table around it.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keeper.domain.errors import ConfigError, Problem
from keeper.settings.values import FloatText

_PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
Table = dict[str, object]


@dataclass(frozen=True, slots=True)
class Document:
    """One configuration as it was written. name: of the file, as the operator gave it; lines: by path of the key, from 1."""

    name: str
    table: Mapping[str, object]
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def place(self, path: tuple[str, ...]) -> str:
        """The file, with the line of the key or of the nearest table around it."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return f"{self.name}:{line}"
        return self.name


def read_document(path: Path) -> Document:
    """The file at ``path``. ConfigError when it can't be read or is no TOML."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        reason = (error.strerror or "can't be read").lower()
        raise ConfigError(Problem(str(path), "(file)", f"({reason})", "give a readable file with --config")) from None
    except UnicodeDecodeError as error:
        remedy = "save the file as UTF-8"
        raise ConfigError(Problem(str(path), "(file)", f"(byte {error.start} is not UTF-8)", remedy)) from None
    return parse_document(text, str(path))


def parse_document(text: str, name: str) -> Document:
    """TOML text. ConfigError when it is none; a line's text is never shown, for it may hold a secret."""
    try:
        table = tomllib.loads(text, parse_float=FloatText)
    except RecursionError:
        raise ConfigError(Problem(name, "(syntax)", "(tables nested too deep)", "write plain sections")) from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise ConfigError(_syntax(error, text, name)) from None
    return Document(name, table, _lines(text))


def _syntax(error: ValueError, text: str, name: str) -> Problem:
    if not isinstance(error, tomllib.TOMLDecodeError):
        return Problem(name, "(syntax)", "(a number too long to read)", "write a shorter number")
    found = _AT.search(str(error))
    lines = text.splitlines()
    number = int(found[1]) if found and found[1] else max(1, len(lines))
    line = lines[number - 1] if number <= len(lines) else ""
    key = _KEY.match(line)
    reason = _AT.sub("", str(error))
    return Problem(
        f"{name}:{number}",
        key[1] if key else "(syntax)",
        "(not TOML)",
        f"{reason[:1].lower()}{reason[1:]}; text stands in quotes",
    )


def _lines(text: str) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("["):
            path = _path(line.strip())
            path = header = path or header
        else:
            key = _KEY.match(line)
            path = header + _path(f"{key[1]} = 0") if key else ()
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], number)
    return found


def _path(line: str) -> tuple[str, ...]:
    """The keys that one line of TOML opens; empty when it is none by itself."""
    try:
        value: object = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(value, dict | list) and value:
        if isinstance(value, list):
            value = value[0]
            continue
        key = next(iter(value))
        path.append(key)
        value = value[key]
    return tuple(path)
