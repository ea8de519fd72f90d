"""Single values are read strictly: what is not written plainly is refused, whatever it would mean elsewhere."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from keeper.domain.market import MarketKind
from keeper.settings.symbols import symbol_parts
from keeper.settings.values import EnvText, FloatText, did_you_mean, duration_text, read_duration, read_number, read_whole

PLAIN = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")
TRICKY = st.text(alphabet="0123456789+-._eE, \t\nnaifNAIF\u0663\uff13", max_size=12)
SYMBOLS = {
    "BTC/USDT": ("BTC", "USDT", "USDT", MarketKind.SPOT),
    "BTC/USDT:USDT": ("BTC", "USDT", "USDT", MarketKind.LINEAR),
    "BTC/USD:BTC": ("BTC", "USD", "BTC", MarketKind.INVERSE),
    "1000PEPE/USDC:USDC": ("1000PEPE", "USDC", "USDC", MarketKind.LINEAR),
}


@given(text=TRICKY | st.text(max_size=12), wrap=st.sampled_from([str, EnvText, FloatText]))
def test_no_text_is_a_number_unless_it_is_plain_decimal(text: str, wrap: type[str] | type[FloatText]) -> None:
    if PLAIN.fullmatch(text):
        assert read_number(wrap(text)) == Decimal(text)
    else:
        with pytest.raises(PydanticCustomError):
            read_number(wrap(text))


@given(value=st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**20), max_value=10**20))
def test_a_plain_decimal_keeps_every_digit(value: Decimal) -> None:
    assert read_number(format(value, "f")) == value
    assert read_number(value) == value


@pytest.mark.parametrize("value", [True, False, None, 1.5, float("nan"), Decimal("nan"), Decimal("inf"), [], {}, b"1", 10**31])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(PydanticCustomError):
        read_number(value)


@given(text=TRICKY | st.text(max_size=8))
def test_a_whole_number_has_no_quotes_except_in_the_environment(text: str) -> None:
    with pytest.raises(PydanticCustomError):
        read_whole(text)
    if re.fullmatch(r"[0-9]+", text):
        assert read_whole(EnvText(text)) == int(text)
    else:
        with pytest.raises(PydanticCustomError):
            read_whole(EnvText(text))


@given(seconds=st.integers(min_value=1, max_value=10**6))
def test_a_duration_survives_being_written_and_read(seconds: int) -> None:
    assert read_duration(duration_text(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("6h", 21600), ("1h30m", 5400), ("1h1s", 3601), ("0s", 0), ("90m", 5400)]
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "s", "15", 15, "15 m", "m15", "30m1h", "1d", "1.5h", "-15m", "15M", "1h1h", "\u0661m", None, True]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(PydanticCustomError):
        read_duration(value)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_symbol_says_what_its_market_is(symbol: str) -> None:
    parts = symbol_parts(symbol)
    assert (parts.base, parts.quote, parts.settle, parts.kind) == SYMBOLS[symbol]


@pytest.mark.parametrize(
    "symbol", ["", "BTC", "BTC/", "/USDT", "BTC-USDT", "BTC/USDT:", "BTC / USDT", "A/A", "A/B:C", "A/B:B-260101", "A/B:B-26-1-C"]
)
def test_what_is_no_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(PydanticCustomError):
        symbol_parts(symbol)


def test_the_nearest_word_is_suggested_or_all_of_them() -> None:
    assert did_you_mean("VENEU", ["venue", "target"]) == 'did you mean "venue"?'
    assert did_you_mean("zzz", ["venue", "target"]) == 'allowed: "venue", "target"'
    assert did_you_mean("zzz", []) == "there is none"
