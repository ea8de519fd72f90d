"""Whatever stands in the file or the environment, the answer is settings or a ConfigError, and settings obey their bounds."""

import copy
import tomllib
from collections.abc import Callable, Iterator
from datetime import date, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from keeper.domain.errors import ConfigError, Problem
from keeper.settings import Settings, account_fingerprint, assemble, effective, load
from keeper.settings.document import parse_document
from keeper.settings.values import FloatText
from tests.fakes.configurations import BINANCE, PAPER

Path = tuple[str, ...]
Table = dict[str, object]

FULL = (
    PAPER
    + """
schedule = { at = "00:15", every = "4h", timezone = "UTC", weekdays = "mon", month_days = [1], skip = "2026-12-25" }
bands = { min = { "BTC/USDT:USDT" = 2.5 }, max = { "BTC/USDT:USDT" = 3.5 }, to = "recenter", speed = 0.05 }
emergency = { max_leverage = 4 }
execution = { style = "twap", horizon = "30m", slices = 12, max_depth = 0.2 }
limits = { max_order_notional = 1000, max_turnover_per_day = 6, max_slippage_bps = 30, max_leverage = 5 }
[keeper]
journal = "sqlite:///x.db"
[venues.binance]
exchange = "binanceusdm"
environment = "testnet"
hosts = { "fapi.binance.com" = "http://127.0.0.1:1" }
credentials = { api_key_file = "a", secret_file = "b" }
"""
)
WORDS = st.sampled_from(
    ["", "0", "3.0", "-1", "3_0", "nan", "1e3", "paper", "live", "sim", "BTC/USDT", "1h", "00:15", "fixed", "\udc80", "\0"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | WORDS
    | st.text(max_size=5)
    | st.sampled_from(["1e3", "nan", "inf", "3_0.0", "2.5"]).map(FloatText)
    | st.sampled_from([time(0, 15), date(2024, 1, 1)]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4) | WORDS, inner, max_size=3),
    max_leaves=4,
)


def paths(table: Table, prefix: Path = ()) -> Iterator[Path]:
    for key, value in table.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from paths(value, (*prefix, key))


SOUND = tomllib.loads(FULL, parse_float=FloatText)
PLACES = sorted(paths(SOUND))


@given(place=st.sampled_from(PLACES), value=VALUES)
def test_any_value_anywhere_is_taken_within_bounds_or_refused_in_words(place: Path, value: object) -> None:
    table = copy.deepcopy(SOUND)
    below: Table = table
    for key in place[:-1]:
        inner = below[key]
        assert isinstance(inner, dict)
        below = inner
    below[place[-1]] = value
    judge(table)


@given(table=st.dictionaries(st.sampled_from(["keeper", "venues", "funds", "x"]), VALUES, max_size=3))
def test_any_table_is_taken_or_refused_in_words(table: Table) -> None:
    judge(table)


def outcome(build: Callable[[], Settings]) -> Settings | tuple[Problem, ...]:
    try:
        return build()
    except ConfigError as error:
        return error.problems


def judge(table: Table) -> None:
    found = outcome(lambda: assemble(table))
    if isinstance(found, Settings):
        within_bounds(found)
        return
    assert found
    for problem in found:
        assert problem.key
        assert problem.remedy
        assert problem.value
        assert problem.source.startswith("built in")


def within_bounds(settings: Settings) -> None:
    for fund in settings.funds.values():
        gross = fund.mandate().gross_target
        assert gross <= fund.limits.max_leverage <= 20
        assert fund.emergency is None or fund.emergency.max_leverage > gross
        assert fund.bands.deadband == "auto" or 0 <= Decimal(fund.bands.deadband) < 1
        mandate = fund.mandate()
        assert mandate.emergency is None or mandate.emergency >= mandate.gross_of_bands
        assert all(mandate.band(symbol).holds(target) for symbol, target in fund.target.items())
        assert 0 < mandate.speed <= 1
        assert 1 <= fund.execution.slices <= 1000
        assert 1 <= fund.execution.horizon.total_seconds() <= 86_400
        assert 0 < fund.execution.max_depth <= 1
        assert 0 < fund.limits.max_slippage_bps <= 1000
    assert effective(settings)


SEGMENTS = st.sampled_from(
    [
        "KEEPER",
        "funds",
        "BTC3L",
        "VENUES",
        "SIM",
        "FEED",
        "SEED",
        "TARGET",
        "LIMITS",
        "MAX_LEVERAGE",
        "CREDENTIALS",
        "API_KEY",
        "_",
        "X",
        "",
    ]
)
TEXTS = (
    WORDS
    | st.sampled_from(["{", "{}", '{"a": 1}', "{ a = 1 }", '{"a": NaN}', "{'BTC/USDT:USDT' = 2}", "[" * 2000, '{"a":' * 2000])
    | st.text()
)


@given(parts=st.lists(SEGMENTS, min_size=1, max_size=5), text=TEXTS)
def test_any_variable_is_taken_or_refused_by_name(parts: list[str], text: str) -> None:
    variable = "KEEPER__" + "__".join(parts)
    found = outcome(lambda: load(None, {variable: text}))
    if isinstance(found, Settings):
        within_bounds(found)
    else:
        assert {problem.source for problem in found} <= {variable, "environment"}  # where what is missing beside it would stand


@given(text=st.text() | st.text(alphabet="[]{}=\"'.\n\\#ab 01", max_size=40))
def test_any_text_is_a_document_or_a_syntax_problem(text: str) -> None:
    try:
        lines = parse_document(text, "keeper.toml").lines
    except ConfigError as error:
        # to have exactly one problem, at a place in the file, is what unpacking and reading it here ask for
        [problem] = error.problems
        lines = {("syntax",): int(problem.source.removeprefix("keeper.toml:"))}
    assert all(1 <= line <= max(1, len(text.splitlines())) for line in lines.values())


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a = 1\n\n[b.c]\nd.e = 2 # [x]\n", {("a",): 1, ("b",): 3, ("b", "c"): 3, ("b", "c", "d"): 4, ("b", "c", "d", "e"): 4}),
        ('["a.b".\'c d\']\n"e\\"=" = 1\n', {("a.b",): 1, ("a.b", "c d"): 1, ("a.b", "c d", 'e"='): 2}),
        ("[[a]]\nb = 1\n[[a]]\nb = 2\n", {("a",): 1, ("a", "b"): 2}),
        ("[a] # one\nb = { c = 1 }\n", {("a",): 1, ("a", "b"): 2}),
        ("a = [\n[1],\n]\n[b]\nc = 1\n", {("a",): 1, ("b",): 4, ("b", "c"): 5}),
    ],
)
def test_lines_are_those_of_the_keys(text: str, lines: dict[Path, int]) -> None:
    assert parse_document(text, "x").lines == lines


def test_a_key_that_is_no_text_that_can_be_sent_is_refused() -> None:
    env = {
        "KEEPER__VENUES__X": '{ exchange = "binanceusdm", environment = "live" }',
        "KEEPER__VENUES__X__CREDENTIALS__API_KEY": "\udc80",
        "KEEPER__VENUES__X__CREDENTIALS__SECRET": "secret",
        "KEEPER__FUNDS__Y": '{ venue = "x", target = { "BTC/USDT:USDT" = 1 } }',
    }
    with pytest.raises(ConfigError) as caught:
        load(None, env)
    assert [problem.key for problem in caught.value.problems] == ["venues.x.credentials.api_key"]
    env["KEEPER__VENUES__X__CREDENTIALS__API_KEY"] = "key"
    venue = load(None, env).venues["x"]
    assert venue.credentials.api_key == SecretStr("key")
    assert len(account_fingerprint("x", venue)) == 16


def test_the_sound_documents_of_these_tests_are_sound() -> None:
    assert assemble(copy.deepcopy(SOUND)).funds["btc3l"].limits.max_leverage == 5
    assert tomllib.loads(BINANCE)["funds"]
