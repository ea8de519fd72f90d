"""What a faulty configuration still says of journal, funds, venues and keys: enough to halt, and to cancel orders.

Whoever wants trading to stop must not first have to find a typing error. What comes from here must never plan or trade: keys
that are at fault are left out as if nobody had written them, and a fund without a readable target is given one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from keeper.domain.errors import ConfigError
from keeper.settings.document import Document, Table, read_document
from keeper.settings.loading import load, merged
from keeper.settings.sections import FundSettings, VenueSettings
from keeper.settings.sources import Settings
from keeper.settings.values import read_name

UNREADABLE = "unreadable"
"""The name of a venue that a fund does not tell of; no venue is called so, unless somebody did."""
_ANY_TARGET = {"BTC/USDT:USDT": 1}
"""A fund must have one. Nobody looks at it: who halts and cancels asks for a fund's name and account."""
_NOT_WITHOUT = {"exchange", "environment", "hosts"}
"""Left out, they would mean another exchange."""


def load_to_halt(path: Path | None, env: Mapping[str, str]) -> tuple[Settings, ConfigError | None]:
    """The configuration as far as halting needs it, and what is wrong with it. Keys are not looked at.

    ConfigError where it can't be told which funds there are, or where their journal is.
    """
    try:
        return load(path, env, keys=False), None
    except ConfigError as fault:
        # what can't be read at all is said by what reads it
        document = None if path is None else read_document(path)
        directory = Path.cwd() if path is None else path.absolute().parent
        settings = _salvaged(document, env, directory)
        if settings is None:
            raise
        return settings, fault


def _salvaged(document: Document | None, env: Mapping[str, str], directory: Path) -> Settings | None:
    """None where a word that nobody understands may have meant another journal."""
    table, configuration, problems = merged(document, env, directory)
    unknown = table.keys() - Settings.model_fields.keys()
    if any("JOURN" in problem.source.upper() for problem in problems) or ("keeper" not in table and unknown):
        return None
    left: dict[str, Any] = {
        "venues": _sound_ones(table, "venues", VenueSettings, {}),
        "funds": _sound_ones(table, "funds", FundSettings, {"venue": UNREADABLE, "target": _ANY_TARGET}),
    }
    if "keeper" in table:
        left["keeper"] = table["keeper"]
    try:
        return Settings.of(left, configuration.sources(), directory)
    except ValidationError:
        return None


def _sound_ones(table: Table, section: str, model: type[BaseModel], substitutes: Mapping[str, object]) -> Table:
    """The entries of a section, each as far as it is sound."""
    entries = table.get(section)
    found = {name: _sound(entry, model, substitutes) for name, entry in entries.items()} if isinstance(entries, dict) else {}
    return {name: entry for name, entry in found.items() if entry is not None and _is_name(name)}


def _is_name(text: str) -> bool:
    try:
        read_name(text)
    except PydanticCustomError:
        return False
    return True


def _sound(entry: object, model: type[BaseModel], substitutes: Mapping[str, object]) -> Table | None:
    """``entry`` without the keys that are at fault, with what ``substitutes`` has for them; None where that is not enough."""
    left: Table = dict(entry) if isinstance(entry, dict) else {}
    while True:
        try:
            model.model_validate(left)
        except ValidationError as error:
            at_fault = {str(each["loc"][0]) for each in error.errors(include_url=False) if each["loc"]}
            changed = {key: value for key, value in left.items() if key not in at_fault}
            changed |= {key: substitutes[key] for key in at_fault & substitutes.keys()}
            if changed == left or at_fault & _NOT_WITHOUT:
                return None
            left = changed
        else:
            return left
