"""What the documents say is what the code has: commands, settings, rooms, dependencies."""

import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from keeper.cli import app
from keeper.domain import errors
from keeper.settings import known_keys, load
from keeper.settings.schedules import ScheduleSettings
from keeper.venues.dialects import DIALECTS
from keeper.venues.speech.base import Speech

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "config").glob("*.toml"))


def commands() -> list[str]:
    """Every command, with its group."""
    group = typer.main.get_command(app)
    found = []
    for name, command in vars(group)["commands"].items():
        below = vars(command).get("commands")
        found += [f"{name} {inner}" for inner in below] if below else [name]
    return found


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_readme(command: str) -> None:
    group, _, name = command.partition(" ")
    assert re.search(rf"`(keeper )?{group}( {name})?[ `]", README), command


@pytest.mark.parametrize("key", [known.key for known in known_keys()])
def test_every_setting_is_in_the_readme_and_in_an_example(key: str) -> None:
    name = key.rpartition(".")[2]
    if name in ("NAME", "SYMBOL", "ASSET"):
        name = key.split(".")[-2]
    word = re.compile(rf"(?<![a-z]){re.escape(name)}(?![a-z])", re.IGNORECASE)
    assert word.search(README), f"README: {key}"
    assert word.search(EXAMPLES), f"config/*.toml: {key}"


def test_every_schedule_in_the_readme_is_sound() -> None:
    shown = re.findall(r"^schedule = .*", README, re.MULTILINE)
    assert len(shown) >= 4
    for line in shown:
        assert ScheduleSettings.model_validate(tomllib.loads(line)["schedule"]).value().at


def test_every_exit_code_is_in_the_readme() -> None:
    table = set(re.findall(r"^\| (\d+) \|", README, re.MULTILINE))
    raised = {str(error.exit_code) for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "exit_code")}
    assert raised <= table
    assert table >= {"0", "1", "2", "3", "4", "64"}


def test_every_room_is_in_the_house_plan() -> None:
    plan = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = [path.name for path in (ROOT / "keeper").iterdir() if path.is_dir() and path.name != "__pycache__"]
    modules = [path.name for path in (ROOT / "keeper").glob("*.py") if not path.name.startswith("__")]
    assert [room for room in rooms if f"`{room}/`" not in plan] == []
    assert [module for module in modules if f"`{module}`" not in plan] == []


def test_the_lock_has_every_dependency_with_hashes_and_no_address() -> None:
    lock = (ROOT / "deploy" / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for dependency in project["dependencies"]:
        name = re.split(r"[><=\[]", dependency)[0]
        assert re.search(rf"^{re.escape(name)}==[^ ]+ \\$", lock, re.MULTILINE), name
    pinned = re.findall(r"^[a-z0-9._-]+==.*$", lock, re.MULTILINE)
    assert all(line.endswith("\\") for line in pinned)
    assert "://" not in lock
    assert "--index" not in lock


def test_every_dependency_has_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    everything = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    assert [one for one in everything if ">=" not in one] == []
    assert [one for one in everything if "<" not in one] == []


def test_every_exchange_is_in_the_readme_and_in_its_example_with_its_environments_and_keys() -> None:
    example = load(ROOT / "config" / "exchanges.toml", {})
    shown = {venue.exchange: venue for venue in example.venues.values()}
    assert sorted(shown) == sorted(DIALECTS)
    for name, row in DIALECTS.items():
        [line] = re.findall(rf"^\| `{name}` \|.*$", README, re.MULTILINE)
        assert set(re.findall(r"`(live|testnet)`", line)) == set(row.hosts)
        assert shown[name].environment in row.hosts
        given = shown[name].credentials
        assert [part for part in row.credentials if getattr(given, f"{part}_file", None) or getattr(given, part)] == [
            *row.credentials
        ]
        switched = type(row.speech).dead_man is not Speech.dead_man
        assert (line.split("|")[5].strip() != "none") is switched, name
