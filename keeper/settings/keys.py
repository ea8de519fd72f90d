"""Which keys the configuration has, read off the sections themselves; nothing about their values.

A place in the configuration is described by its annotation: one or several models (a feed has one per kind), a mapping of
names to something, or a single value.
"""

import json
import re
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from keeper.settings.values import nearest

_BARE = re.compile(r"[A-Za-z0-9_-]+")
Path = tuple[str, ...]
NAMED = "NAME"


def models_at(place: Any) -> tuple[type[BaseModel], ...]:
    """The models that can stand at a place; several where a word among the keys decides."""
    if isinstance(place, type) and issubclass(place, BaseModel):
        return (place,)
    if get_origin(place) is Annotated:
        return models_at(get_args(place)[0])
    if get_origin(place) in (Union, types.UnionType):
        return tuple(model for part in get_args(place) for model in models_at(part))
    return ()


def entry_of(place: Any) -> Any:
    """What each entry of a mapping at a place holds; None where there is no mapping."""
    if get_origin(place) is Annotated:
        return entry_of(get_args(place)[0])
    return get_args(place)[1] if get_origin(place) is Mapping else None


def is_table(place: Any) -> bool:
    """Whether a table stands at a place."""
    return bool(models_at(place)) or entry_of(place) is not None


def keys_at(place: Any) -> dict[str, Any]:
    """The fixed keys of a place with what stands there."""
    return {key: field.annotation for model in models_at(place) for key, (_, field) in fields_of(model).items()}


def fields_of(model: type[BaseModel]) -> dict[str, tuple[str, FieldInfo]]:
    """The keys of a table, each with the attribute that holds it: a key that is a word of Python is another there."""
    return {field.alias or name: (name, field) for name, field in model.model_fields.items()}


def step(place: Any, key: str) -> Any:
    """What stands under ``key`` of a place; None when it has no such key."""
    entry = entry_of(place)
    return entry if entry is not None else keys_at(place).get(key)


def leaves(place: Any, prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every key below a place that holds a single value; NAME stands for what the operator names."""
    if not is_table(place):
        yield prefix, place
        return
    entry = entry_of(place)
    if entry is not None:
        yield from leaves(entry, (*prefix, NAMED))
    for key, below in keys_at(place).items():
        yield from leaves(below, (*prefix, key))


def suggestion(place: Any, key: str) -> str:
    """What an unknown key of a place was probably meant to be, or which keys there are."""
    known = [name for name, below in keys_at(place).items() if is_table(below) or below is not None]
    near = nearest(key, known)
    if near is not None:
        return f'unknown key; did you mean "{near}"?'
    deeper = {path[-1]: dotted(path) for path, _ in leaves(place) if len(path) > 1}
    near = nearest(key, list(deeper))
    if near is not None:
        return f'unknown key; did you mean "{deeper[near]}"?'
    return "unknown key; known keys: " + ", ".join(f'"{name}"' for name in known)


def dotted(path: Path) -> str:
    """A path as TOML writes it: funds.btc3l.target."BTC/USDT:USDT"."""
    return ".".join(part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False) for part in path)
