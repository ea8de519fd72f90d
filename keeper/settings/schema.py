"""The configuration described: its JSON schema, its keys with their defaults, and what is in effect and why.

Everything here is made to be printed, so no secret passes through it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from keeper.domain.numbers import plain
from keeper.settings.keys import NAMED, Path, dotted, entry_of, fields_of, models_at
from keeper.settings.masking import MASK, without_password
from keeper.settings.sources import Settings
from keeper.settings.values import duration_text, instant_text


@dataclass(frozen=True, slots=True)
class Effective:
    """One value in effect. value: JSON, numbers that are Decimals as text; source: "default", FILE:LINE or a variable."""

    key: str
    value: object
    source: str

    def document(self) -> dict[str, object]:
        """The shape that ``config show --json`` prints."""
        return {"key": self.key, "value": self.value, "source": self.source}


@dataclass(frozen=True, slots=True)
class Known:
    """One key there is. key: dotted, NAME where the operator names; default: as text, None where there is none."""

    key: str
    default: str | None
    description: str


def effective(settings: Settings) -> list[Effective]:
    """Every value in effect, in the order of the sections; secrets as ***."""
    return [Effective(dotted(path), _shown(value), settings.source(path)) for path, value in _values(settings, ())]


def known_keys(feed: str = "") -> list[Known]:
    """Every key with its default; with ``feed``, of all kinds of feeds only that one's."""
    merged: dict[str, Known] = {}
    for known in _known(Settings, (), feed):
        before = merged.get(known.key)
        merged[known.key] = known if before is None else _either(before, known)
    return list(merged.values())


def schema() -> dict[str, Any]:
    """The JSON schema of the configuration file."""
    described: dict[str, Any] = _tidy(Settings.model_json_schema(mode="validation"))
    return {
        **described,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Keeper's configuration",
        "description": "A TOML file. Rules that need more than one key are told by `keeper config check`.",
    }


def schema_text() -> str:
    """The schema as config/schema.json holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _tidy(node: Any) -> Any:
    """A JSON schema without titles that repeat a key, nulls that TOML can't write, and names that match no pattern.

    A table's default is said by the defaults of its keys.
    """
    if isinstance(node, list):
        return [_tidy(each) for each in node if each != {"type": "null"}]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _tidy(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
        and not (key == "default" and (value in (None, "") or isinstance(value, dict)))
    }
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    choices = kept.get("anyOf")
    return {**choices[0], **{key: kept[key] for key in kept if key != "anyOf"}} if choices and len(choices) == 1 else kept


def _values(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    if isinstance(value, BaseModel):
        for key, (name, _) in fields_of(type(value)).items():
            yield from _values(getattr(value, name), (*path, key))
    elif isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _values(below, (*path, key))
    else:
        yield path, value


def _shown(value: object) -> object:
    shown: object
    match value:
        case SecretStr():
            shown = MASK
        case str():
            shown = without_password(str(value))
        case Decimal():
            shown = plain(value)
        case timedelta():
            shown = duration_text(value)
        case datetime():
            shown = instant_text(value)
        case date():
            shown = value.isoformat()
        case time():
            shown = f"{value:%H:%M}"
        case (time() as alone,):
            shown = _shown(alone)
        case tuple():
            shown = [_shown(each) for each in value]
        case _:
            shown = value
    return shown


def _known(place: Any, path: Path, feed: str) -> Iterator[Known]:
    models = models_at(place)
    for model in models:
        kinds = get_args(model.model_fields["kind"].annotation) if feed and len(models) > 1 else (feed,)
        for key, (_, field) in fields_of(model).items() if feed in kinds else ():
            below = (*path, key)
            entry = entry_of(field.annotation)
            if models_at(field.annotation):
                yield from _known(field.annotation, below, feed)
            elif entry is not None and models_at(entry):
                yield from _known(entry, (*below, NAMED), feed)
            else:
                yield Known(
                    dotted(below if entry is None else (*below, NAMED)), _default(field.default), str(field.description or "")
                )


def _either(one: Known, other: Known) -> Known:
    """A key that has one default or meaning in one kind of feed and another in the next."""
    defaults = dict.fromkeys(text for text in (one.default, other.default) if text is not None)
    descriptions = dict.fromkeys((one.description, other.description))
    return Known(one.key, " or ".join(defaults) or None, " or ".join(descriptions))


def _default(value: object) -> str | None:
    if value is PydanticUndefined or value is None or value in ({}, ""):
        return None
    shown = _shown(value)
    return str(shown).lower() if isinstance(shown, bool) else str(shown)
