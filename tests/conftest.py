"""What holds for every test: how long an example of a property takes says nothing about the property."""

import os

import pytest
from hypothesis import settings

settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two workers a core for ``-n auto``: a third of the suite's time is waiting for bells, processes and replies."""
    return 2 * (os.cpu_count() or 1)
