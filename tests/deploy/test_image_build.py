"""What the Dockerfile says to build the image, taken from it word by word and run in fresh virtual environments.

Needs a package registry. Where pip reaches none, an operator's machine skips this and says so; CI never does.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")[1].replace("\\\n", "")
PLACES = ("/src", "/opt")
UNREACHABLE = "connection broken by"


def told(instruction: str) -> list[str]:
    """The arguments of every such instruction of the stage that builds."""
    return re.findall(rf"^{instruction} (.*)$", STAGE, re.MULTILINE)


def here(words: str, folder: Path) -> str:
    """``words`` with the image's folders inside ``folder``, and its Python the one that runs this."""
    for place in PLACES:
        words = re.sub(rf"(?<![\w/.]){place}(?=[/\s]|$)", f"{shlex.quote(str(folder))}{place}", words)
    return re.sub(r"(?<!\S)python(?= )", shlex.quote(sys.executable), words)


def run(words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_FIND_LINKS")}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_NO_COMPILE": "1"}
    command = ["/bin/sh", "-ec", words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)  # noqa: S603 - ours


def copied(folder: Path) -> Iterator[Path]:
    """Copy what the image's stage copies."""
    for words in told("COPY"):
        *names, target = words.split()
        for name in names:
            source, place = ROOT / name, Path(here(target, folder))
            place = place / source.name if target.endswith("/") else place
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, place)
            yield place


def test_the_image_s_own_lines_build_a_keeper_that_starts(tmp_path: Path) -> None:
    assert all(place.exists() for place in copied(tmp_path))
    for line in told("RUN"):
        ended = run(here(line, tmp_path), tmp_path)
        if ended.returncode and UNREACHABLE in ended.stderr and not os.environ.get("CI"):
            pytest.skip("pip reaches no package registry from here")
        assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
    built = run(f"{tmp_path}/opt/keeper/bin/keeper init && {tmp_path}/opt/keeper/bin/keeper config check", tmp_path)
    assert built.returncode == 0, built.stderr
    assert "The configuration is sound" in built.stdout
    installed = run(f"{tmp_path}/opt/keeper/bin/python -c 'import keeper; print(keeper.__file__)'", tmp_path)
    assert Path(installed.stdout.strip()).is_relative_to(tmp_path / "opt" / "keeper")


def test_whatever_is_installed_from_a_registry_is_checked_against_its_hash() -> None:
    lines = [words for line in told("RUN") for words in line.split("&&")]
    installing = [line for line in lines if re.search(r"\bpip (install|wheel)\b", line)]
    assert installing
    assert [line for line in installing if "--require-hashes" not in line and "--no-deps" not in line] == []
    lock = (ROOT / "deploy" / "build.lock").read_text(encoding="utf-8")
    assert re.findall(r"^([a-z]+)==[0-9.]+ \\\n    --hash=sha256:[0-9a-f]{64}$", lock, re.MULTILINE) == ["setuptools"]
    assert "://" not in lock
    assert "--index" not in lock
