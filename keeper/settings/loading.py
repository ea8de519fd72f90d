"""Finding, reading and checking a configuration: a file, overridden by the environment, judged as a whole.

``find`` and ``load`` are the two ways in from outside; ``assemble`` takes a table that a program made. All problems are
raised at once, as one ConfigError. Nothing is sent anywhere.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from keeper.domain.errors import ConfigError, Problem
from keeper.settings.addresses import SECRET_FILES, SECRETS
from keeper.settings.diagnostics import Configuration, problems_in
from keeper.settings.document import Document, Table, read_document
from keeper.settings.environment import read_environment
from keeper.settings.keys import Path as KeyPath
from keeper.settings.keys import dotted
from keeper.settings.masking import MASK
from keeper.settings.rules import broken_rules
from keeper.settings.sections import FundSettings, VenueSettings
from keeper.settings.sources import Settings
from keeper.settings.values import EnvText

M = TypeVar("M", bound=BaseModel)
_FILE = "keeper.toml"


def find(option: Path | None, env: Mapping[str, str], cwd: Path, home: Path) -> Path:
    """The configuration file: --config, else KEEPER_CONFIG, else ./keeper.toml, else the user's.

    One that is named must exist; ConfigError lists where it was looked for.
    """
    named = env.get("KEEPER_CONFIG", "")
    xdg = Path(env.get("XDG_CONFIG_HOME", ""))
    if option is not None:
        candidates = {"--config": cwd / option}
    elif named:
        candidates = {"KEEPER_CONFIG": cwd / named}
    else:
        users = (xdg if xdg.is_absolute() else home / ".config") / "keeper" / _FILE
        candidates = {f"./{_FILE}": cwd / _FILE, "the user's configuration directory": users}
    for candidate in candidates.values():
        if candidate.is_file():
            return candidate
    looked = ", ".join(f"{candidate} ({why})" for why, candidate in candidates.items())
    remedy = "write one, or name one with --config; `keeper demo` works without one"
    raise ConfigError(Problem(str(cwd), "configuration file", f"(not found; looked for {looked})", remedy))


def load(path: Path | None, env: Mapping[str, str], *, keys: bool = True) -> Settings:
    """The file at ``path`` (None: no file) under the variables of ``env``. ConfigError names every problem there is.

    keys: whether the exchanges' keys must be there and fit; what only reads the journal does without.
    """
    if path is None:
        return _build(None, env, Path.cwd(), keys=keys)
    return _build(read_document(path), env, path.absolute().parent, keys=keys)


def assemble(table: Mapping[str, object], *, origin: str = "built in") -> Settings:
    """Settings from a table that a program made, shaped like the file; ``origin`` names it in messages. ConfigError."""
    return _build(Document(origin, table), {}, Path.cwd())


def _build(document: Document | None, env: Mapping[str, str], directory: Path, *, keys: bool = True) -> Settings:
    table, configuration, problems = merged(document, env, directory)
    try:
        settings = Settings.of(table, configuration.sources(), directory)
    except ValidationError as error:
        problems += problems_in(error, Settings, configuration)
        sound = _sound(table, "venues", VenueSettings), _sound(table, "funds", FundSettings)
        problems += _broken(*sound, configuration, keys=keys)
        raise ConfigError(*problems) from None
    problems += _broken(settings.venues, settings.funds, configuration, keys=keys)
    if problems:
        raise ConfigError(*problems)
    return settings


def merged(document: Document | None, env: Mapping[str, str], directory: Path) -> tuple[Table, Configuration, list[Problem]]:
    """The file under the variables, with names of secret files made absolute; where all of it came from; and what is left out."""
    overrides = read_environment(env, Settings, document)
    document = document or Document("environment", {})
    inline = list(_inline_secrets(document.table))
    table = _merge(_without(document.table, [*overrides.replaced, *inline]), overrides.table)
    problems = [_inline_problem(path, document) for path in inline] + overrides.problems
    return _anchored(table, directory, env), Configuration(document, overrides, table), problems


def _broken(
    venues: Mapping[str, VenueSettings], funds: Mapping[str, FundSettings], configuration: Configuration, *, keys: bool
) -> list[Problem]:
    named = configuration.value(("venues",))
    names = list(named) if isinstance(named, dict) else []
    return [configuration.problem(fault.path, fault.remedy) for fault in broken_rules(venues, funds, names, keys=keys)]


def _sound(table: Table, section: str, model: type[M]) -> dict[str, M]:
    """The entries of a section that are sound by themselves."""
    entries = table.get(section)
    found = {}
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        try:
            found[name] = model.model_validate(entry)
        except ValidationError:
            continue
    return found


def _credentials(table: Mapping[str, object]) -> Iterator[tuple[KeyPath, Table]]:
    """The credentials tables of all venues with their paths."""
    venues = table.get("venues")
    for name, venue in venues.items() if isinstance(venues, dict) else ():
        credentials = venue.get("credentials") if isinstance(venue, dict) else None
        if isinstance(credentials, dict):
            yield ("venues", name, "credentials"), credentials


def _inline_secrets(table: Mapping[str, object]) -> Iterator[KeyPath]:
    for path, credentials in _credentials(table):
        yield from ((*path, key) for key in SECRETS if key in credentials)


def _inline_problem(path: KeyPath, document: Document) -> Problem:
    variable = "__".join(("KEEPER", *path)).upper()
    remedy = f"a secret never stands in this file: put it into a file of mode 600 named by {path[-1]}_file, or into {variable}"
    return Problem(document.place(path), dotted(path), MASK, remedy)


def _anchored(table: Table, directory: Path, env: Mapping[str, str]) -> Table:
    """``table`` with the names of secret files made absolute: they start at the configuration's directory, or at ~."""
    anchored: Table = {}
    for path, credentials in _credentials(table):
        files = {
            key: EnvText(_from(directory, str(text), env.get("HOME")))
            for key, text in credentials.items()
            if key in SECRET_FILES and isinstance(text, str) and text.strip()
        }
        anchored = _merge(anchored, {"venues": {path[1]: {"credentials": files}}})
    return _merge(table, anchored)


def _from(directory: Path, text: str, home: str | None) -> str:
    if text.startswith("~/") and home:
        return str(Path(home) / text[2:])
    return str(directory / text)


def _merge(lower: Mapping[str, object], upper: Mapping[str, object]) -> Table:
    """``upper`` over ``lower``, table by table."""
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _without(table: Mapping[str, object], paths: list[KeyPath]) -> Table:
    """``table`` less the keys at ``paths``."""
    left: Table = {}
    for key, value in table.items():
        below = [path[1:] for path in paths if path[:1] == (key,)]
        if () in below:
            continue
        left[key] = _without(value, below) if isinstance(value, dict) else value
    return left
