"""The products of the field as an operator meets them: each file is sound, and its funds plan on the paper exchange at once."""

import shutil
from pathlib import Path

import pytest

from tests.fakes.command_line import CommandLine
from tests.fakes.products import PRODUCTS

FILES = sorted(path.name for path in PRODUCTS.glob("*.toml"))


def test_there_is_one_for_each_row_of_the_table() -> None:
    rows = ["binance_blvt", "bybit_lt", "ftx", "gate", "index_coop_fli", "kucoin_mexc_amun", "pionex"]
    assert [name.removesuffix(".toml") for name in FILES] == rows


@pytest.mark.parametrize("name", FILES)
def test_a_product_can_be_planned(name: str, tmp_path: Path, keeper_here: CommandLine) -> None:
    shutil.copy(PRODUCTS / name, tmp_path / "keeper.toml")
    checked = keeper_here("config", "check")
    assert checked.code == 0, checked.err
    fund = checked.out.partition("Funds: ")[2].split(",")[0].strip(" .\n")
    planned = keeper_here("plan", fund, "--json")
    assert planned.code == 2, planned.err
    assert planned.document["refusals"] == []
    assert len(planned.document["legs"]) == 1
