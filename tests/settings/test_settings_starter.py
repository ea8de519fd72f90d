import re
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.settings import load
from keeper.settings.schema import known_keys
from keeper.settings.starter import STARTERS, starter
from tests.fakes.command_line import keeper

CONFIG = Path(__file__).parents[2] / "config"


OPTION = re.compile(r"# ([a-z_]+ = [^ #].*)")


def uncommented(text: str) -> str:
    """The file with every option that has a value taken in."""
    return "\n".join(found[1] if (found := OPTION.fullmatch(line)) else line for line in text.splitlines())


@pytest.mark.parametrize("kind", STARTERS)
def test_a_starter_is_sound_as_it_is_written(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "keeper.toml"
    file.write_text(starter(kind))
    for name in ("api_key", "secret"):
        (tmp_path / "secrets").mkdir(exist_ok=True)
        (tmp_path / "secrets" / name).write_text("x" * 20)
        (tmp_path / "secrets" / name).chmod(0o600)
    settings = load(file, {})
    fund = settings.funds["btc3l"]
    assert fund.target == {"BTC/USDT:USDT": Decimal(3)}
    assert fund.schedule_value() is not None


@pytest.mark.parametrize("kind", STARTERS)
def test_the_options_of_a_starter_are_the_defaults(kind: str) -> None:
    text = starter(kind)
    plain, full = tomllib.loads(text), tomllib.loads(uncommented(text))
    assert plain["funds"]["btc3l"].keys() <= full["funds"]["btc3l"].keys()
    assert full["funds"]["btc3l"]["limits"]["max_slippage_bps"] == 30
    defaults = {known.key.rpartition(".")[2]: known.default for known in known_keys(STARTERS[kind].feed)}
    for name, value in full["funds"]["btc3l"]["execution"].items():
        assert str(value) == defaults[name]


def test_every_option_of_the_kind_stands_in_it() -> None:
    text = starter("paper")
    for known in known_keys("synthetic"):
        if (
            known.key.startswith(("keeper", "venues.NAME.feed", "funds"))
            and not known.key.endswith("NAME")
            and "assets" not in known.key
        ):
            assert f"{known.key.rpartition('.')[2]} =" in text, known.key


def test_the_starter_in_config_is_the_one_that_init_writes() -> None:
    assert (CONFIG / "starter.toml").read_text(encoding="utf-8") == starter("paper")


def test_what_init_writes_can_trade(tmp_path: Path) -> None:
    assert keeper(tmp_path, "init").code == 0
    assert keeper(tmp_path, "config", "check").code == 0
    planned = keeper(tmp_path, "plan", "--json")
    assert planned.code == 2, planned.err
    [leg] = planned.document["legs"]
    assert leg["side"] == "buy"
    assert planned.document["refusals"] == []


def test_init_writes_once_and_never_over_a_file(tmp_path: Path) -> None:
    def init(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "keeper", "init", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - ours

    assert init().returncode == 0
    assert (tmp_path / "keeper.toml").read_text() == starter("paper")
    again = init()
    assert again.returncode == 64
    assert "keeper.toml is there already: name another with --file, or move it away" in again.stderr
    assert init("--file", "other.toml").returncode == 0
    assert init("bybit").returncode == 64
