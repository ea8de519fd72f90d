"""What is wrong with a configuration, in the operator's words: place, key, value, remedy; and where each value came from.

pydantic finds the faults, but none of its wording, types or addresses gets past this module.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from keeper.domain.errors import Problem
from keeper.settings.document import Document, Table
from keeper.settings.environment import Overrides
from keeper.settings.keys import Path, dotted, entry_of, fields_of, models_at, step, suggestion
from keeper.settings.masking import display
from keeper.settings.values import nearest

_KEY = "[key]"
_TABLES = frozenset({"model_type", "model_attributes_type", "dict_type", "mapping_type"})
_TAGS = frozenset({"union_tag_not_found", "union_tag_invalid"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """A file under an environment. table: the values as they were written, merged."""

    document: Document
    overrides: Overrides
    table: Table

    def value(self, path: Path) -> object:
        """What was written at ``path``; None when nothing was."""
        value: object = self.table
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def place(self, path: Path) -> str:
        """The variable, or the file and line, that set the key at ``path`` or the nearest table around it."""
        return self.overrides.variable(path) or self.document.place(path)

    def problem(self, path: Path, remedy: str, value: str | None = None) -> Problem:
        """A problem with the key at ``path``."""
        return Problem(self.place(path), dotted(path), value or display(path, self.value(path)), remedy)

    def sources(self) -> Iterator[tuple[Path, str]]:
        """Every path that was written, with its place."""
        for path in _paths(self.table, ()):
            yield path, self.place(path)


def _paths(table: Mapping[str, object], prefix: Path) -> Iterator[Path]:
    for key, value in table.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from _paths(value, (*prefix, key))


def problems_in(error: ValidationError, root: Any, configuration: Configuration) -> list[Problem]:
    """One problem for each fault that pydantic found in sections described by ``root``."""
    found = error.errors(include_url=False)
    return [_problem(each, root, configuration) for each in found]


def _problem(error: ErrorDetails, root: Any, configuration: Configuration) -> Problem:
    path, places = _locate(error["loc"], root)
    around, place = ([root, *places])[-2:]
    fault, context = error["type"], error.get("ctx", {})
    if fault == "keeper":
        if context["at"] is not None:
            path = (*path[:-1], *context["at"])
        value = f'"{path[-1]}"' if error["loc"][-1] == _KEY else context["value"]
        return configuration.problem(path, str(context["remedy"]), value)
    if fault in _TAGS:
        kind = (*path, "kind")
        remedy = "must be " + " or ".join(f'"{tag}"' for tag in _tags(place))
        near = nearest(str(configuration.value(kind)), _tags(place))
        return configuration.problem(kind, remedy + (f'; did you mean "{near}"?' if near else ""))
    return configuration.problem(path, _remedy(fault, path[-1], around))


def _remedy(fault: str, key: str, around: Any) -> str:
    """What to write for ``key`` of the table described by ``around``."""
    if fault == "extra_forbidden":
        return suggestion(around, key)
    if fault in _TABLES:
        return "must be a table: [section] with keys below it, or { key = value }"
    described = _description(around, key)
    if fault == "missing":
        return f"is required: {described}"
    if fault == "too_short":
        return f"must not be empty: {described}"
    return f"is not allowed here: {described}"


def _locate(location: tuple[int | str, ...], root: Any) -> tuple[Path, list[Any]]:
    """The path behind pydantic's location, which also names the kind of a feed and marks a key; and what stands on its way."""
    path: list[str] = []
    places: list[Any] = []
    place = root
    for part in map(str, location):
        models = models_at(place)
        if part == _KEY:
            continue
        if len(models) > 1 and part in _tags(place):
            place = places[-1] = next(model for model in models if _tag(model) == part)
            continue
        path.append(part)
        place = step(place, part)
        places.append(place)
    return tuple(path), places


def _tag(model: Any) -> str:
    return str(model.model_fields["kind"].annotation.__args__[0])


def _tags(place: Any) -> list[str]:
    return [_tag(model) for model in models_at(place)]


def _description(place: Any, key: str) -> str:
    if entry_of(place) is not None:
        return "see `keeper config schema`"
    fields = (fields_of(model) for model in models_at(place))
    return next((str(found[key][1].description) for found in fields if key in found), "")
