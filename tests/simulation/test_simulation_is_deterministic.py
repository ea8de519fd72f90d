import os
import subprocess
import sys

import pytest

from tests.simulation.world import Scenario, World

SHOW = "from tests.simulation.world import Scenario, World; print(World(Scenario(seed={seed})).run().digest)"


def elsewhere(seed: int, hashing: str) -> str:
    """The trace's digest as another process has it, in which sets and dicts of text are walked in another order."""
    command = [sys.executable, "-c", SHOW.format(seed=seed)]
    environment = os.environ | {"PYTHONHASHSEED": hashing, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(  # noqa: S603 - our own interpreter
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.parametrize("seed", [3, 17, 53])
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    here = World(Scenario(seed=seed)).run()
    assert World(Scenario(seed=seed)).run().digest == here.digest == elsewhere(seed, "1") == elsewhere(seed, "2")
    assert World(Scenario(seed=seed + 1)).run().digest != here.digest
