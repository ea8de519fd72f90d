"""How a value is shown to people: never a secret, never something that looks like one, never longer than a line."""

import re
from datetime import date, time, timedelta
from decimal import Decimal

from pydantic import SecretStr

from keeper.domain.numbers import plain
from keeper.settings.addresses import SECRET_FILES
from keeper.settings.keys import Path, dotted
from keeper.settings.values import FloatText, duration_text

MASK = "***"
_SECRET_KEY = re.compile(r"secret|pass|key|token|credential|auth|private", re.IGNORECASE)
_USER_INFO = re.compile(r"://.*@")
_QUERY_SECRET = re.compile(r"((?:password|sslpassword|secret|key|token)=)[^&\s]*", re.IGNORECASE)
_PASTED = re.compile(r"(?=.*[A-Z])(?=.*[a-z])(?=.*[0-9])[A-Za-z0-9+/=_-]{20,}|(?=.*[a-fA-F])[0-9a-fA-F-]{20,}")
_WORD = re.compile(r"[A-Za-z0-9+/=_-]+")
_LONGEST = 80
_VENUE = 2


def display(path: Path, value: object) -> str:
    """``value`` of the key at ``path`` as a message may show it."""
    if value is None:
        return "(missing)"
    if isinstance(value, SecretStr) or _is_secret(path):
        return MASK
    if isinstance(value, dict):
        inside = ", ".join(f"{dotted((key,))} = {display((*path, key), below)}" for key, below in value.items())
        return _one_line(f"{{ {inside} }}") if inside else "{}"
    if isinstance(value, list):
        return "(an array)"
    if isinstance(value, str):
        # text where a venue belongs is a table that could not be read, with whatever secrets it holds
        return MASK if path[:1] == ("venues",) and len(path) <= _VENUE else _text(value)
    return _one_line(_unquoted(value))


def _text(value: str) -> str:
    return MASK if _looks_pasted(value) else f'"{_one_line(without_password(value))}"'


def _unquoted(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, FloatText):
        return value.text
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def without_password(text: str) -> str:
    """A URL without what stands before its host."""
    return _QUERY_SECRET.sub(rf"\1{MASK}", _USER_INFO.sub(f"://{MASK}@", text))


def _is_secret(path: Path) -> bool:
    """Whether a key's own name, or that of a table around it, says that it holds a secret; names given by people don't count."""
    keys = [key for place, key in enumerate(path) if place != 1 or path[0] not in ("venues", "funds")]
    if not keys or keys[-1] in SECRET_FILES:
        return False
    return any(_SECRET_KEY.search(key) for key in keys)


def _looks_pasted(text: str) -> bool:
    """Whether text looks like a key that was pasted where something else belongs."""
    if text.startswith(("/", ".", "~")):
        return False
    return "-----BEGIN" in text or any(_PASTED.fullmatch(word) for word in _WORD.findall(text))


def _one_line(text: str) -> str:
    flat = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return flat if len(flat) <= _LONGEST else f"{flat[:_LONGEST]}..."
