"""Environment variables that override the configuration: KEEPER__SECTION__KEY.

Names are matched to known keys whatever their case. A variable that reaches no key is an error, and beside a file none
can make a venue or a fund that the file does not name: a misspelt name would quietly trade a second fund.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.domain.errors import Problem
from keeper.settings.addresses import SECRETS
from keeper.settings.document import Document, Table
from keeper.settings.keys import Path, dotted, entry_of, is_table, keys_at, leaves, step
from keeper.settings.masking import display
from keeper.settings.values import EnvText, FloatText, nearest

PREFIX = "KEEPER__"
_MISSPELT = re.compile(r"KEEPER_(?:KEEPER|VENUES|FUNDS)__.*", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_]+?(?=__|$)")
_TABLE_REMEDY = 'must be a table such as {"BTC/USDT:USDT" = 3} (TOML) or {"BTC/USDT:USDT": 3} (JSON)'
_JSON_TABLE = re.compile(r"\s*\{\s*(?:\"[^\"]*\"\s*:|\})")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the environment says.

    table: the values, nested; variables: the variable's name by path of the key it sets; replaced: paths whose whole
    content in the file gives way; problems: variables that can't be used.
    """

    table: Table = field(default_factory=dict)
    variables: dict[Path, str] = field(default_factory=dict)
    replaced: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def variable(self, path: Path) -> str | None:
        """The variable that set a key or a table around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.variables:
                return self.variables[path[:length]]
        return None


def read_environment(env: Mapping[str, str], root: Any, document: Document | None) -> Overrides:
    """The variables of ``env`` as values of the configuration that ``root`` describes."""
    found = Overrides()
    known = {name.upper(): path for path, name in _all_names(root, document)}
    reached: list[tuple[Path, Any, str, str]] = []
    for variable, text in sorted(env.items()):
        if _MISSPELT.fullmatch(variable):
            found.problems.append(_unknown(variable, text, list(known), "KEEPER__ is written with two underscores"))
        if not variable.upper().startswith(PREFIX):
            continue
        table = document.table if document else {}
        target = _reach(variable[len(PREFIX) :].lower(), root, table, may_name=document is None)
        if target is None:
            found.problems.append(_unknown(variable, text, list(known), _why_not(variable, document)))
        else:
            reached.append((*target, variable, text))
    for path, place, variable, text in sorted(reached, key=lambda item: len(item[0])):
        _assign(found, path, place, variable, text)
    return found


def _assign(found: Overrides, path: Path, place: Any, variable: str, text: str) -> None:
    if path in found.variables:
        other = found.variables[path]
        remedy = f"{other} sets the same key: keep one of them"
        found.problems.append(Problem(variable, dotted(path), display(path, text), remedy))
        return
    value: object = EnvText(text)
    if is_table(place):
        value = read_table(text)
        if value is None:
            found.problems.append(Problem(variable, dotted(path), display(path, text), _TABLE_REMEDY))
            return
    below = found.table
    for key in path[:-1]:
        inner = below.get(key)
        if not isinstance(inner, dict):
            inner = below[key] = {}
        below = inner
    below[path[-1]] = value
    found.variables[path] = variable
    found.replaced.append(path)
    if path[-1] in SECRETS:
        found.replaced.append((*path[:-1], f"{path[-1]}_file"))


def _reach(rest: str, place: Any, table: object, *, may_name: bool) -> tuple[Path, Any] | None:
    """The path that ``rest`` (lower case) spells below a place, longest name first, and what stands there."""
    inside = table if isinstance(table, dict) else {}
    keys = list(inside) if entry_of(place) is not None else list(keys_at(place))
    if entry_of(place) is not None and may_name and (named := _NAME.match(rest)):
        keys.append(named[0])
    for key in sorted(keys, key=len, reverse=True):
        below = step(place, key)
        if rest == key.lower():
            return (key,), below
        if rest.startswith(f"{key.lower()}__"):
            deeper = _reach(rest[len(key) + 2 :], below, inside.get(key), may_name=may_name and entry_of(place) is None)
            if deeper is not None:
                return (key, *deeper[0]), deeper[1]
    return None


def _all_names(root: Any, document: Document | None) -> list[tuple[Path, str]]:
    """Every key that a variable can reach, with the variable's name."""
    found = []
    for section, place in keys_at(root).items():
        named = document.table.get(section) if document else None
        entry = entry_of(place)
        starts = [(section,)] if entry is None else [(section, name) for name in (named if isinstance(named, dict) else ["NAME"])]
        for start in starts:
            for path, _ in leaves(entry or place, start):
                reachable = path[: path.index("NAME", len(start))] if "NAME" in path[len(start) :] else path
                found.append((reachable, PREFIX + "__".join(reachable).upper()))
    return found


def _unknown(variable: str, text: str, known: list[str], what: str) -> Problem:
    near = nearest(variable.upper(), known)
    remedy = f"{what}; did you mean {near}?" if near else f"{what}; see `keeper config schema` for the keys"
    path = _spelled(variable)
    return Problem(variable, dotted(path), display(path, text), remedy)


def _spelled(variable: str) -> Path:
    """The path that a variable seems to mean."""
    return tuple(part for part in re.sub(r"^keeper_+", "", variable.lower()).split("__") if part) or ("(none)",)


def _why_not(variable: str, document: Document | None) -> str:
    section, name = (*_spelled(variable), "", "")[:2]
    if document is None or section not in ("venues", "funds") or not name:
        return "reaches no known key"
    named = document.table.get(section)
    if isinstance(named, dict) and name in named:
        return "reaches no known key"
    return f"{document.name} has no [{section}.{name}], and a variable makes none"


def read_table(text: str) -> Table | None:
    """A table written as JSON or as TOML writes one in line; None when ``text`` is neither."""
    table: object
    try:
        if _JSON_TABLE.match(text):
            table = json.loads(text, parse_float=FloatText, parse_constant=FloatText, object_pairs_hook=_once)
        else:
            document = tomllib.loads(f"table = {text}", parse_float=FloatText)
            table = document["table"] if len(document) == 1 else None
    except (ValueError, RecursionError):
        return None
    return table if isinstance(table, dict) else None


def _once(pairs: list[tuple[str, object]]) -> Table:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table
