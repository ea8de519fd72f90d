"""What systemd hears: datagrams on the socket that it names, and nothing where it named none."""

import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from keeper.ports import Supervisor
from keeper.system import ServiceManager


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        yield listening


@pytest.mark.parametrize("abstract", [False, True])
def test_it_hears_each_word(manager: socket.socket, tmp_path: Path, *, abstract: bool) -> None:
    name = f"keeper-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    manager.bind(f"\0{name}" if abstract else name)
    told: Supervisor = ServiceManager({"NOTIFY_SOCKET": f"@{name}" if abstract else name})
    told.ready()
    told.alive()
    told.stopping()
    assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize(
    ("env", "interval"),
    [
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "30000000"}, timedelta(seconds=15)),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, timedelta(seconds=15)),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "soon"}, None),
        ({"NOTIFY_SOCKET": "/s"}, None),
        ({"WATCHDOG_USEC": "30000000"}, None),
        ({}, None),
    ],
)
def test_it_hears_of_life_at_half_the_time_after_which_it_would_act(env: dict[str, str], interval: timedelta | None) -> None:
    assert ServiceManager(env).interval == interval


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody-listens-here"])
def test_a_manager_that_is_not_there_troubles_nobody(address: str) -> None:
    ServiceManager({"NOTIFY_SOCKET": address}).ready()
