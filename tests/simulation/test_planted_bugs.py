"""A harness is only as good as the bugs it catches: each of these must be caught, by a world of its own bad luck."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.planted import BUGS, Change, Unplantable, changed

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str) -> None:
    command = [sys.executable, "-m", "tests.simulation.hunt", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - our own interpreter
    assert done.stdout, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["seed"] is not None, f"none of {told['seeds']} seeds shows {name!r}"
    assert done.returncode == 0


SOUND = (
    "retry with the same id",
    "unguarded transition",
    "transfer explains a stale spot read",
    "orders placed before a settle forgotten",
    "kill asks for nothing that is on its way",
    "flatten to the mandate",
)


@pytest.mark.parametrize("name", SOUND)
def test_the_same_worlds_are_sound_without_the_bug(name: str) -> None:
    from tests.simulation.hunt import hunt

    bug = BUGS[name]
    assert hunt(name, type(bug)(changes=(), scenario=bug.scenario, faults=bug.faults, shows=bug.shows, seeds=15))["seed"] is None


def test_a_bug_whose_place_is_gone_is_not_taken_for_caught() -> None:
    change = Change("keeper.service.sender", "outcome = await", "outcome = None and await")
    assert changed("x\noutcome = await y\n", change) == "x\noutcome = None and await y\n"
    for source in ("nothing of it", "outcome = await y; outcome = await z"):
        with pytest.raises(Unplantable, match=r"keeper\.service\.sender holds"):
            changed(source, change)
