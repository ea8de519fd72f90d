"""Every wrong input is refused with its place, key, value and remedy; and all of them at once."""

from decimal import Decimal
from pathlib import Path

import pytest

from keeper.domain.errors import ConfigError
from keeper.settings import load
from tests.fakes.configurations import PAPER, loaded, problems, written

NUMBER = "must be a plain decimal number such as 3, -1.5 or 0.001: no underscore, exponent, nan or inf"
DURATION = 'must be a duration in quotes such as "90s", "15m", "6h" or "1h30m"'
FEED = 'feed = { kind = "synthetic", seed = 7,'
LIMITS = "[funds.btc3l.limits]\n"
EXECUTION = "[funds.btc3l.execution]\n"

# what is replaced in PAPER, by what; then line, key, value and a part of the remedy
BROKEN = [
    # unknown keys
    ("[venues.sim]", "[venue.sim]", 1, "venue", '{ sim = { exchange = "paper"', 'unknown key; did you mean "venues"?'),
    ("venue = ", "vennue = ", 7, "funds.btc3l.vennue", '"sim"', 'unknown key; did you mean "venue"?'),
    ("seed = 7", "sed = 7", 3, "venues.sim.feed.sed", "7", 'unknown key; did you mean "seed"?'),
    ("seed = 7", "depth = 7", 3, "venues.sim.feed.depth", "7", "unknown key; known keys: "),
    (
        'venue = "sim"',
        'venue = "sim"\nmax_leverage = 3',
        8,
        "funds.btc3l.max_leverage",
        "3",
        'did you mean "limits.max_leverage"?',
    ),
    (
        'venue = "sim"',
        'venue = "sim"\njitter = "15m"',
        8,
        "funds.btc3l.jitter",
        '"15m"',
        'did you mean "schedule.jitter"?',
    ),
    (
        'venue = "sim"',
        'venue = "sim"\nzzz = "15m"',
        8,
        "funds.btc3l.zzz",
        '"15m"',
        'unknown key; known keys: "venue", "target"',
    ),
    # wrong types
    ("target = { ", "target = 3 # {", 8, "funds.btc3l.target", "3", "must be a table"),
    ('account = { balances = { USDT = "100000" } }', "account = true", 4, "venues.sim.account", "true", "must be a table"),
    ('venue = "sim"', "venue = 3.5", 7, "funds.btc3l.venue", "3.5", "must be text in quotes"),
    ("seed = 7", "seed = 7.0", 3, "venues.sim.feed.seed", "7.0", "must be a whole number without quotes"),
    ("seed = 7", 'seed = "7"', 3, "venues.sim.feed.seed", '"7"', "must be a whole number without quotes"),
    ("seed = 7", "seed = true", 3, "venues.sim.feed.seed", "true", "must be a whole number without quotes"),
    ("seed = 7", "seed = -1", 3, "venues.sim.feed.seed", "-1", "must be at least 0 and at most"),
    ("} }\n\n", '}, borrow = "yes" }\n\n', 4, "venues.sim.account.borrow", '"yes"', "must be true or false"),
    # numbers
    ("= 3.0 }", '= "3_0" }', 8, 'funds.btc3l.target."BTC/USDT:USDT"', '"3_0"', NUMBER),
    ("= 3.0 }", "= 3_0.0 }", 8, 'funds.btc3l.target."BTC/USDT:USDT"', "3_0.0", NUMBER),
    ("= 3.0 }", '= "nan" }', 8, 'funds.btc3l.target."BTC/USDT:USDT"', '"nan"', NUMBER),
    ("= 3.0 }", "= nan }", 8, 'funds.btc3l.target."BTC/USDT:USDT"', "nan", NUMBER),
    ("= 3.0 }", '= "-inf" }', 8, 'funds.btc3l.target."BTC/USDT:USDT"', '"-inf"', NUMBER),
    ("= 3.0 }", "= -inf }", 8, 'funds.btc3l.target."BTC/USDT:USDT"', "-inf", NUMBER),
    ("= 3.0 }", '= "1e3" }', 8, 'funds.btc3l.target."BTC/USDT:USDT"', '"1e3"', NUMBER),
    ("= 3.0 }", "= 1e3 }", 8, 'funds.btc3l.target."BTC/USDT:USDT"', "1e3", NUMBER),
    ("= 3.0 }", "= true }", 8, 'funds.btc3l.target."BTC/USDT:USDT"', "true", NUMBER),
    ("= 3.0 }", "= [3] }", 8, 'funds.btc3l.target."BTC/USDT:USDT"', "(an array)", NUMBER),
    ("= 3.0 }", "= 2024-01-01 }", 8, 'funds.btc3l.target."BTC/USDT:USDT"', "2024-01-01", NUMBER),
    ('"100000"', '"100,000"', 4, "venues.sim.account.balances.USDT", '"100,000"', NUMBER),
    ('"100000"', '"1e5"', 4, "venues.sim.account.balances.USDT", '"1e5"', NUMBER),
    ('"52500"', '"0"', 3, 'venues.sim.feed.prices."BTC/USDT:USDT"', '"0"', "must be above 0"),
    # leverage
    ("= 3.0 }", "= 30 }", 8, "funds.btc3l.target", '{ "BTC/USDT:USDT" = 30 }', "leverage 30 is above 20, the ceiling"),
    ("= 3.0 }", "= -6 }", 8, "funds.btc3l.target", '{ "BTC/USDT:USDT" = -6 }', "leverage 6 is above limits.max_leverage = 5"),
    (
        "= 3.0 }",
        '= 3, "ETH/USDT:USDT" = -2.5 }',
        8,
        "funds.btc3l.target",
        '{ "BTC/USDT:USDT" = 3, "ETH/USDT:USDT" = -2.5 }',
        "leverage 5.5 is above limits.max_leverage = 5",
    ),
    # targets
    ('{ "BTC/USDT:USDT" = 3.0 }', "{}", 8, "funds.btc3l.target", "{}", "must not be empty"),
    ("= 3.0 }", '= 1, "BTC/USDT" = 1 }', 8, "funds.btc3l.target", '"BTC/USDT" = 1', "both hold BTC"),
    ("= 3.0 }", '= 1, "ETH/USDC:USDC" = 1 }', 8, "funds.btc3l.target", '"ETH/USDC:USDC" = 1', "share one quote currency"),
    ("= 3.0 }", '= 1, "SOL/USDT:USDT" = 1 }', 8, 'funds.btc3l.target."SOL/USDT:USDT"', "1", "venue sim has no such market"),
    ('{ "BTC/USDT:USDT" = 3', "{ BTCUSDT = 3", 8, "funds.btc3l.target.BTCUSDT", '"BTCUSDT"', "must be a symbol such as"),
    ('{ "BTC/USDT:USDT" = 3', '{ "BTC/BTC" = 3', 8, 'funds.btc3l.target."BTC/BTC"', '"BTC/BTC"', "two different assets"),
    (
        '{ "BTC/USDT:USDT" = 3',
        '{ "BTC/USD:ETH" = 3',
        8,
        'funds.btc3l.target."BTC/USD:ETH"',
        '"BTC/USD:ETH"',
        "must settle in USD",
    ),
    (
        '{ "BTC/USDT:USDT" = 3',
        '{ "BTC/USDT:USDT-260925" = 3',
        8,
        'funds.btc3l.target."BTC/USDT:USDT-260925"',
        '"BTC/USDT:USDT-260925"',
        "dated futures and options are not supported",
    ),
    ('"sim"\n', '"sim"\ncurrency = "USD"\n', 8, "funds.btc3l.currency", '"USD"', 'must be "USDT", the quote currency'),
    # names and references
    ('venue = "sim"', 'venue = "sin"', 7, "funds.btc3l.venue", '"sin"', 'no such venue: did you mean "sim"?'),
    ('venue = "sim"', 'venue = "other"', 7, "funds.btc3l.venue", '"other"', 'no such venue: allowed: "sim"'),
    ("[funds.btc3l]", "[funds.BTC3L]", 6, "funds.BTC3L", '"BTC3L"', 'such as "btc3l"'),
    ("[funds.btc3l]", '[funds."btc 3l"]', 6, 'funds."btc 3l"', '"btc 3l"', 'such as "btc_3l"'),
    # venues
    ('exchange = "paper"', 'exchange = "papper"', 2, "venues.sim.exchange", '"papper"', 'did you mean "paper"?'),
    ('exchange = "paper"', 'exchange = "binanceusd"', 2, "venues.sim.exchange", '"binanceusd"', 'did you mean "binanceus'),
    ('"paper"\n', '"paper"\nenvironment = "live"\n', 3, "venues.sim.environment", '"live"', 'must be "paper", or left out'),
    ('"paper"\n', '"paper"\nenvironment = "papr"\n', 3, "venues.sim.environment", '"papr"', 'did you mean "paper"?'),
    ('"paper"\n', '"paper"\nhosts = { "a.b" = "http://127.0.0.1:1" }\n', 3, "venues.sim.hosts", "(set)", "has no use"),
    ("account = ", "# ", 1, "venues.sim.account", "(missing)", 'is required on exchange = "paper"'),
    ("feed = ", "# ", 1, "venues.sim.feed", "(missing)", 'is required on exchange = "paper"'),
    (
        'kind = "synthetic"',
        'kind = "syntetic"',
        3,
        "venues.sim.feed.kind",
        '"syntetic"',
        'must be "fixed" or "synthetic" or "recorded" or "ccxt"; did you mean',
    ),
    ('kind = "synthetic",', "", 3, "venues.sim.feed.kind", "(missing)", 'must be "fixed" or "synthetic"'),
    (FEED, f"{FEED} speed = 0,", 3, "venues.sim.feed.speed", "0", "must be above 0 and at most 1000000"),
    (FEED, f"{FEED} volatility = 11,", 3, "venues.sim.feed.volatility", "11", "must be at least 0 and at most 10"),
    ('{ kind = "synthetic", seed = 7', '{ kind = "fixed", depth = "endless"', 3, "venues.sim.feed.depth", '"endless"', NUMBER),
    ('{ kind = "synthetic", seed = 7', '{ kind = "fixed", depth = 0', 3, "venues.sim.feed.depth", "0", 'must be "unlimited" or'),
    (
        FEED,
        f'{FEED} markets = {{ "BTC/USDT:USDT" = {{ kind = "spot" }} }},',
        3,
        'venues.sim.feed.markets."BTC/USDT:USDT".kind',
        '"spot"',
        'must be "linear" or left out',
    ),
    (
        FEED,
        f'{FEED} markets = {{ "BTC/USDT" = {{ lot = 1 }} }},',
        3,
        'venues.sim.feed.markets."BTC/USDT"',
        "{ lot = 1 }",
        'has no price: did you mean "BTC/USDT:USDT"?',
    ),
    (
        FEED,
        f'{FEED} markets = {{ "BTC/USDT:USDT" = {{ tick = 0 }} }},',
        3,
        'venues.sim.feed.markets."BTC/USDT:USDT".tick',
        "0",
        "must be above 0",
    ),
    (
        "} }\n\n",
        '}, positions = { "BTC/USDT" = { contracts = 1, entry = 1 } } }\n\n',
        4,
        'venues.sim.account.positions."BTC/USDT"',
        "{ contracts = 1, entry = 1 }",
        "a spot holding is a balance",
    ),
    (
        "} }\n\n",
        '}, positions = { "SOL/USDT:USDT" = { contracts = 1, entry = 1 } } }\n\n',
        4,
        'venues.sim.account.positions."SOL/USDT:USDT"',
        "{ contracts = 1, entry = 1 }",
        "has no price in feed.prices",
    ),
    (
        "} }\n\n",
        '}, positions = { "BTC/USDT:USDT" = { contracts = 0, entry = 1 } } }\n\n',
        4,
        'venues.sim.account.positions."BTC/USDT:USDT".contracts',
        "0",
        "leave it out",
    ),
    (
        "} }\n\n",
        '}, positions = { "BTC/USDT:USDT" = { contracts = 1 } } }\n\n',
        4,
        'venues.sim.account.positions."BTC/USDT:USDT".entry',
        "(missing)",
        "is required: average entry price",
    ),
]

B = '"BTC/USDT:USDT"'
# the same of bands around 3x
BANDS = [
    (f"bands = {{ min = {{ {B} = 2 }} }}", f"bands.min.{B}", "2", f"needs bands.max.{B} beside it"),
    (f"bands = {{ max = {{ {B} = 4 }} }}", f"bands.max.{B}", "4", f"needs bands.min.{B} beside it"),
    (
        f"bands = {{ min = {{ {B} = 4 }}, max = {{ {B} = 2.5 }} }}",
        f"bands.max.{B}",
        "2.5",
        "min < max must hold, but 4 >= 2.5: exchange",
    ),
    (
        f"bands = {{ min = {{ {B} = 3 }}, max = {{ {B} = 3 }} }}",
        f"bands.max.{B}",
        "3",
        "min < max must hold, but 3 >= 3",
    ),
    (
        f"bands = {{ min = {{ {B} = 3.1 }}, max = {{ {B} = 3.5 }} }}",
        f"bands.min.{B}",
        "3.1",
        "min <= target must hold, but 3.1 > 3: move",
    ),
    (
        f"bands = {{ min = {{ {B} = 2 }}, max = {{ {B} = 2.9 }} }}",
        f"bands.max.{B}",
        "2.9",
        "target <= max must hold, but 3 > 2.9: move",
    ),
    (
        f"bands = {{ min = {{ {B} = 0 }}, max = {{ {B} = 4 }} }}",
        f"bands.min.{B}",
        "0",
        "0 < min must hold where the target is 3, but it is 0",
    ),
    (
        'bands = { min = { "ETH/USDT:USDT" = 2 }, max = { "ETH/USDT:USDT" = 4 } }',
        'bands.min."ETH/USDT:USDT"',
        "2",
        "is no market of the target: did you mean",
    ),
    (
        f"bands = {{ deadband = 0.1, min = {{ {B} = 2 }}, max = {{ {B} = 4 }} }}",
        "bands.deadband",
        "0.1",
        "has no use where every market has min and max",
    ),
    ('bands = { to = "edge" }', "bands.to", '"edge"', "lower edge < upper edge does not hold for BTC/USDT:USDT: set"),
    ('bands = { to = "recenter", speed = 0.05 }', "bands.to", '"recenter"', "lower edge < upper edge does not hold"),
    ('bands = { deadband = 0.1, to = "recenter" }', "bands.speed", "(missing)", 'is required where to = "recenter"'),
    ("bands = { deadband = 0.1, speed = 0.5 }", "bands.speed", "0.5", 'has no use where to = "target"'),
    ('bands = { deadband = 0.1, to = "recenter", speed = 0 }', "bands.speed", "0", "must be above 0 and at most 1"),
    ('bands = { deadband = 0.1, to = "recenter", speed = 1.01 }', "bands.speed", "1.01", "must be above 0 and at most 1"),
    (
        "emergency = { max_leverage = 3.2 }\nbands = { deadband = 0.1 }",
        "emergency.max_leverage",
        "3.2",
        "on the outer edges of the bands must hold, or it would count as one where nothing is due yet, but 3.2 < 3.3: set it",
    ),
    (
        f"bands = {{ min = {{ {B} = 2.25 }}, max = {{ {B} = 4.125 }} }}",
        f"bands.max.{B}",
        "4.125",
        "but 4, which is what holds where it is not set, < 4.125: set it higher, or narrow the bands",
    ),
    ('bands = { deadband = "autp" }', "bands.deadband", '"autp"', 'must be a fraction or "auto"; did you mean "auto"?'),
    ('bands = { deadband = "much" }', "bands.deadband", '"much"', NUMBER),
    (
        'bands = { deadband = "auto", to = "edge" }',
        "bands.aversion",
        "(missing)",
        'is required where deadband = "auto": such as 1',
    ),
    ('bands = { deadband = "auto", aversion = 0 }', "bands.aversion", "0", "must be above 0 and at most 1000"),
    ("bands = { deadband = 0.1, aversion = 5 }", "bands.aversion", "5", 'has no use without deadband = "auto"'),
    ('bands = { deadband = "auto", aversion = 5 }', "bands.to", "(missing)", 'end on the edge: set to = "edge", not "target"'),
    (
        f'bands = {{ deadband = "auto", aversion = 5, to = "edge", min = {{ {B} = 2 }}, max = {{ {B} = 4 }} }}',
        "bands.deadband",
        '"auto"',
        "is for funds of one market, without min and max",
    ),
    ("bands = { deadband = 0.4 }", "bands.deadband", "0.4", "but 4, which is what holds where it is not set, < 4.2: set it"),
]

# below [funds.btc3l], after line 8: a line, its key, its value and a part of the remedy
FUND_BROKEN = [
    ('schedule = { at = "24:00" }', "schedule.at", '"24:00"', 'must be HH:MM in quotes, from "00:00" to "23:59"'),
    ('schedule = { at = "0:15" }', "schedule.at", '"0:15"', "must be HH:MM"),
    ('schedule = { at = "\u0660\u0660:\u0661\u0665" }', "schedule.at", '"\u0660\u0660:\u0661\u0665"', "must be HH:MM"),
    ("schedule = { at = 00:15:00 }", "schedule.at", "00:15:00", 'must be in quotes, such as "00:15"'),
    ('schedule = { timezone = "UTC" }', "schedule.at", "(missing)", "is required: local time of day"),
    ('schedule = { at = "00:15", timezone = "Europe/Berln" }', "schedule.timezone", '"Europe/Berln"', 'mean "Europe/Berlin"?'),
    ('schedule = { at = "00:15", timezone = "Europe" }', "schedule.timezone", '"Europe"', "must be an IANA time zone"),
    ('schedule = { at = "00:15", timezone = "/etc/localtime" }', "schedule.timezone", '"/etc/localtime"', "must be an IANA"),
    ('schedule = { at = "00:15", timezone = "" }', "schedule.timezone", '""', "must be an IANA time zone in quotes, such as"),
    ('schedule = { at = "00:15", timezone = 1 }', "schedule.timezone", "1", "must be an IANA time zone in quotes, such as"),
    ('schedule = { at = "00:15", catch_up = "0s" }', "schedule.catch_up", '"0s"', 'must be at least "1s" and at most "20h"'),
    ('schedule = { at = "00:15", catch_up = "24h" }', "schedule.catch_up", '"24h"', 'must be at least "1s" and at most "20h"'),
    ('schedule = { at = "00:15", jitter = "6h" }', "schedule.jitter", '"6h"', 'must be below catch_up = "6h"'),
    ('schedule = { at = "00:15", catch_up = "5m", jitter = "5m" }', "schedule.jitter", '"5m"', 'must be below catch_up = "5m"'),
    ("bands = { deadband = 1 }", "bands.deadband", "1", "must be at least 0 and below 1"),
    ("bands = { deadband = -0.1 }", "bands.deadband", "-0.1", "must be at least 0 and below 1"),
    ('bands = { to = "egde" }', "bands.to", '"egde"', 'must be "target" or "edge" or "recenter"; did you mean "edge"?'),
    *BANDS,
    *(
        (f"target_from = {{ {line} }}", f"target_from.{key}", value, words)
        for line, key, value, words in (
            ('file = "t.toml"', "bounds", "(missing)", "is required beside file or command"),
            (f"bounds = {{ {B} = [-1, 3] }}", "bounds", f"{{ {B} = (an array) }}", "has no use without a file or a command"),
            (
                f'file = "t", command = ["/x"], bounds = {{ {B} = [-1, 3] }}',
                "command",
                "(an array)",
                "stands beside file: keep one",
            ),
            ('command = "x"', "command", '"x"', "must be an array of a program and its arguments"),
            ('command = ["signal"]', "command", "(an array)", "must begin with the whole path of a program"),
            (f'file = "t", bounds = {{ {B} = [3, 3] }}', f"bounds.{B}", "(an array)", "lowest < highest must hold, but 3 >= 3"),
            (f'file = "t", bounds = {{ {B} = 3 }}', f"bounds.{B}", "3", "such as [-1, 3]"),
            (f'file = "t", bounds = {{ {B} = [-1, 2] }}', f"bounds.{B}", "(an array)", "3 is not within -1 to 2: move one"),
            (f'file = "t", bounds = {{ {B} = [-1, 3] }}, max_jump = 2.5', "max_jump", "2.5", "must hold, but 2.5 > 2: lower it"),
            (f'file = "t", bounds = {{ {B} = [-1, 3] }}, timeout = "6m"', "timeout", '"6m"', "at most"),
        )
    ),
    (
        f'limits = {{ max_leverage = 5 }}\ntarget_from = {{ file = "t", bounds = {{ {B} = [-1, 5.1] }} }}',
        "limits.max_leverage",
        "5",
        "must hold, but 5 is not >= 5.1: raise it, or narrow the bounds",
    ),
    (
        f'emergency = {{ max_leverage = 4 }}\ntarget_from = {{ file = "t", bounds = {{ {B} = [-4, 3] }} }}',
        "emergency.max_leverage",
        "4",
        "must hold, but 4 is not > 4: raise it, or narrow the bounds",
    ),
    (
        f'bands = {{ min = {{ {B} = 2 }}, max = {{ {B} = 4 }} }}\ntarget_from = {{ file = "t", bounds = {{ {B} = [-1, 3] }} }}',
        "bands.min",
        f"{{ {B} = 2 }}",
        "does not go with target_from, since edges stay",
    ),
    ("intraday = { band = true }", "intraday.band", "true", "does not hold for BTC/USDT:USDT: there is no band to leave"),
    (
        'intraday = { band = true }\nbands = { deadband = "auto", aversion = 5, to = "edge" }',
        "intraday.band",
        "true",
        '"auto" is worked out at a plan only',
    ),
    ("intraday = { move = 0 }", "intraday.move", "0", "must be above 0 and below 1"),
    ('intraday = { direction = "both" }', "intraday.direction", '"both"', "has no use where nothing makes the fund act"),
    ('intraday = { direction = "bth" }', "intraday.direction", '"bth"', 'did you mean "both"?'),
    ('intraday = { move = 0.1, cooldown = "5m" }', "intraday.cooldown", '"5m"', "it is 13 + 0 > 6: lengthen it"),
    (
        'intraday = { move = 0.1 }\nschedule = { at = "00:00", every = "30m" }\nexecution = { horizon = "20m" }',
        "intraday.cooldown",
        "(missing)",
        "it is 5 + 3 > 6: lengthen it",
    ),
    ('dealing = "at_res"', "dealing", '"at_res"', 'did you mean "at_rest"?'),
    ("emergency = {}", "emergency.max_leverage", "(missing)", "is required: gross leverage"),
    ("emergency = { max_leverage = 3 }", "emergency.max_leverage", "3", "gross target leverage must hold, but 3 <= 3"),
    ("emergency = { max_leverage = 101 }", "emergency.max_leverage", "101", "must be above 0 and at most 100"),
    ("emergency = { max_leverage = 4, to = 0 }", "emergency.to", "0", "must be above 0 and at most 100"),
    ("emergency = { max_leverage = 4, to = 4 }", "emergency.to", "4", "emergency.to < emergency.max_leverage must hold"),
    ("emergency = { max_leverage = 4, to = 4.5 }", "emergency.to", "4.5", "begin again where it ends, but 4.5 >= 4: lower it"),
    ("emergency = { to = 3 }", "emergency.max_leverage", "(missing)", "is required: gross leverage"),
    (
        'emergency = { max_leverage = 4, check_every = "0s" }',
        "emergency.check_every",
        '"0s"',
        'must be at least "1s" and at most "24h"',
    ),
    ("emergency = { max_leverage = 4, check_every = 5 }", "emergency.check_every", "5", DURATION),
    ("execution = { horizon = 30 }", "execution.horizon", "30", DURATION),
    ('execution = { horizon = "30" }', "execution.horizon", '"30"', DURATION),
    ('execution = { horizon = "30m1h" }', "execution.horizon", '"30m1h"', DURATION),
    ('execution = { horizon = "1.5h" }', "execution.horizon", '"1.5h"', DURATION),
    ('execution = { horizon = "" }', "execution.horizon", '""', DURATION),
    ('execution = { horizon = "0s" }', "execution.horizon", '"0s"', 'must be at least "1s" and at most "24h"'),
    ('execution = { horizon = "25h" }', "execution.horizon", '"25h"', 'must be at least "1s" and at most "24h"'),
    ("execution = { slices = 0 }", "execution.slices", "0", "must be at least 1 and at most 1000"),
    ("execution = { slices = 1001 }", "execution.slices", "1001", "must be at least 1 and at most 1000"),
    ("execution = { max_depth = 0 }", "execution.max_depth", "0", "must be above 0 and at most 1"),
    ("execution = { max_depth = 1.01 }", "execution.max_depth", "1.01", "must be above 0 and at most 1"),
    ('execution = { style = "adaptive" }', "execution.style", '"adaptive"', 'must be "twap" or "urgent"'),
    ("limits = { max_leverage = 25 }", "limits.max_leverage", "25", "must be above 0 and at most 20"),
    ("limits = { max_leverage = 3_0 }", "limits.max_leverage", "30", "must be above 0 and at most 20"),
    ("limits = { max_order_notional = 0 }", "limits.max_order_notional", "0", "must be above 0 and at most 100000000"),
    ("limits = { max_order_notional = 1e3 }", "limits.max_order_notional", "1e3", NUMBER),
    ("limits = { max_turnover_per_day = 101 }", "limits.max_turnover_per_day", "101", "must be above 0 and at most 100"),
    (
        "limits = { max_turnover_per_day = 3.0 }",
        "limits.max_turnover_per_day",
        "3.0",
        "could never be built, but 3 < 3.009: raise it or lower the target",
    ),
    ("limits = { max_slippage_bps = 1001 }", "limits.max_slippage_bps", "1001", "must be above 0 and at most 1000"),
    (
        "limits = { max_turnover_per_hour = 6.1 }",
        "limits.max_turnover_per_hour",
        "6.1",
        "must be at most max_turnover_per_day = 6",
    ),
    ("limits = { max_turnover_per_run = 7 }", "limits.max_turnover_per_run", "7", "must be at most max_turnover_per_day = 6"),
    ("limits = { max_turnover_per_run = 0 }", "limits.max_turnover_per_run", "0", "must be above 0 and at most 100"),
    ("limits = { max_orders_per_day = 0 }", "limits.max_orders_per_day", "0", "must be at least 1 and at most 1000000"),
    ("limits = { max_orders_per_day = 5.5 }", "limits.max_orders_per_day", "5.5", "must be a whole number"),
    (
        "limits = { max_orders_per_hour = 5001 }",
        "limits.max_orders_per_hour",
        "5001",
        "must be at most max_orders_per_day = 5000",
    ),
    ("limits = { max_orders_per_run = 5001 }", "limits.max_orders_per_run", "5001", "must be at most max_orders_per_day = 5000"),
    (
        "limits = { max_orders_per_run = 11 }",
        "limits.max_orders_per_run",
        "11",
        "but 12 * 1 > 11: use fewer slices or allow more",
    ),
    ("limits = { max_orders_per_day = 11 }", "limits.max_orders_per_day", "11", "slices times markets <= max_orders_per_day"),
    ("limits = { min_liquidation_distance = 1 }", "limits.min_liquidation_distance", "1", "must be at least 0 and below 1"),
    ("limits = { min_liquidation_distance = 0.34 }", "limits.min_liquidation_distance", "0.34", "but 3 * 0.34 >= 1: lower one"),
    ("limits = { max_target_jump = 0 }", "limits.max_target_jump", "0", "must be above 0 and at most 40"),
    ("breakers = { slippage_bps = 0 }", "breakers.slippage_bps", "0", "must be above 0 and at most 1000"),
    ("breakers = { loss = 1.1 }", "breakers.loss", "1.1", "must be above 0 and at most 1"),
    ("breakers = { errors_per_hour = -1 }", "breakers.errors_per_hour", "-1", "must be at least 0 and at most 1000000"),
    ('breakers = { stale_after = "0s" }', "breakers.stale_after", '"0s"', 'must be at least "1s" and at most "24h"'),
    ("breakers = { trouble_after = 5 }", "breakers.trouble_after", "5", DURATION),
    ("breakers = { runs_per_hour = 0 }", "breakers.runs_per_hour", "0", "must be at least 1 and at most 1000"),
    ("breakers = { los = 0.1 }", "breakers.los", "0.1", 'did you mean "loss"?'),
    ("limits = { max_slipage_bps = 10 }", "limits.max_slipage_bps", "10", 'did you mean "max_slippage_bps"?'),
]


@pytest.mark.parametrize(("old", "new", "line", "key", "value", "remedy"), BROKEN)
def test_a_wrong_key_or_value_is_named_with_its_place_and_remedy(
    tmp_path: Path, old: str, new: str, line: int, key: str, value: str, remedy: str
) -> None:
    assert PAPER.count(old) >= 1
    found = problems(tmp_path, PAPER.replace(old, new, 1))
    [problem] = [each for each in found if each.key == key]
    assert problem.source == f"{tmp_path / 'keeper.toml'}:{line}"
    assert value in problem.value
    assert remedy in problem.remedy
    assert all(part in str(ConfigError(*found)) for part in (problem.source, key, value, remedy))


@pytest.mark.parametrize(("line", "key", "value", "remedy"), FUND_BROKEN)
def test_a_wrong_line_of_a_fund_is_the_one_problem(tmp_path: Path, line: str, key: str, value: str, remedy: str) -> None:
    [problem] = problems(tmp_path, PAPER + line)
    assert problem.source == f"{tmp_path / 'keeper.toml'}:9"
    assert problem.key == f"funds.btc3l.{key}"
    assert problem.value == value
    assert remedy in problem.remedy


# a target, the edges of its band, the key under bands that is to blame and a part of the remedy
SHORTS = [
    ("-3", "1.5", "5.25", "min", "min <= target must hold, but 1.5 > -3: move the edge or the target; edges are signed"),
    ("-3", "-4", "0.5", "max", "max < 0 must hold where the target is -3, but it is 0.5"),
    ("-3", "-5.25", "-1.5", "min", "but 5, which is what holds where it is not set, < 5.25: set it higher"),
    ("0", "0.1", "0.2", "min", "min <= target must hold, but 0.1 > 0: move"),
]


@pytest.mark.parametrize(("target", "low", "high", "key", "remedy"), SHORTS)
def test_the_band_of_a_short_or_of_nothing_is_judged_with_its_signs(
    tmp_path: Path, target: str, low: str, high: str, key: str, remedy: str
) -> None:
    bands = f"bands = {{ min = {{ {B} = {low} }}, max = {{ {B} = {high} }} }}\n"
    [problem] = problems(tmp_path, PAPER.replace("= 3.0 }", f"= {target} }}") + bands)
    assert (problem.source, problem.key) == (f"{tmp_path / 'keeper.toml'}:9", f"funds.btc3l.bands.{key}.{B}")
    assert remedy in problem.remedy


def test_no_band_is_worked_out_where_nothing_drifts_or_several_do(tmp_path: Path) -> None:
    bands = 'bands = { deadband = "auto", aversion = 5, to = "edge" }\n'
    for target, words in (("= 1 }", "no use at a target of 0 or 1"), ('= 1, "ETH/USDT:USDT" = -1 }', "funds of one market")):
        [problem] = [one for one in problems(tmp_path, PAPER.replace("= 3.0 }", target) + bands) if "bands" in one.key]
        assert (problem.key, problem.value) == ("funds.btc3l.bands.deadband", '"auto"')
        assert words in problem.remedy


@pytest.mark.parametrize(
    ("target", "bands", "emergency"),
    [
        ("3.0", "{{ min = {{ {B} = 2.25 }}, max = {{ {B} = 4.125 }} }}", "4.125"),
        ("-3", "{{ min = {{ {B} = -5.25 }}, max = {{ {B} = -1.5 }} }}", "5.25"),
        ("0", '{{ min = {{ {B} = -0.1 }}, max = {{ {B} = 0.1 }}, to = "recenter", speed = 1 }}', "1"),
        ("1", '{{ deadband = 0.5, to = "edge" }}', "1.5"),
    ],
)
def test_bands_that_hold_together_are_taken(tmp_path: Path, target: str, bands: str, emergency: str) -> None:
    text = PAPER.replace("= 3.0 }", f"= {target} }}") + f"bands = {bands.format(B=B)}\n"
    mandate = loaded(tmp_path, text + f"emergency = {{ max_leverage = {emergency} }}\n").funds["btc3l"].mandate()
    assert mandate.band("BTC/USDT:USDT").has_room
    assert mandate.gross_of_bands <= Decimal(emergency)


def test_all_problems_are_told_at_once_and_in_our_words(tmp_path: Path) -> None:
    text = (
        PAPER.replace("seed = 7", "sed = 7").replace("3.0", '"3_0"')
        + 'schedule = { at = "25:00" }\nlimits = { max_leverage = 99 }\n'
        + '[funds.other]\nvenue = "nowhere"\ntarget = { "BTC/USDT:USDT" = 50 }\nemergency = { max_leverage = 2 }\n'
        + '[funds.third]\nvenue = "live"\ntarget = { "BTC/USDT:USDT" = 7 }\nexecution = { slices = 1.5 }\n'
        + '[venues.live]\nexchange = "binance"\nenvironment = "live"\n'
    )
    found = problems(tmp_path, text, {"KEEPER__FUNDS__BTC3L__VENU": "x"})
    assert {each.key for each in found} == {
        "venues.sim.feed.sed",
        'funds.btc3l.target."BTC/USDT:USDT"',
        "funds.btc3l.schedule.at",
        "funds.btc3l.limits.max_leverage",
        "funds.other.target",
        "funds.third.execution.slices",
        "funds.third.target",
        "funds.btc3l.venu",
    }
    message = str(ConfigError(*found)).lower()
    assert not [word for word in ("pydantic", "validation", "input_value", "traceback", "errors.", "type=") if word in message]


def test_a_sound_section_is_judged_beside_a_broken_one(tmp_path: Path) -> None:
    text = PAPER + '[funds.other]\nvenue = "sym"\ntarget = { "BTC/USDT:USDT" = 1 }\n[funds.bad]\nvenue = 3\n'
    assert {each.key for each in problems(tmp_path, text)} == {"funds.other.venue", "funds.bad.venue", "funds.bad.target"}


@pytest.mark.parametrize(
    ("text", "line", "key", "remedy"),
    [
        ("[keeper]\njournal = sqlite\n", 2, "journal", "invalid value; text stands in quotes"),
        ("[keeper\n", 1, "(syntax)", "expected ']'"),
        ("a = 1\na = 2\n", 2, "a", "cannot overwrite a value"),
        ("[funds.x]\n[funds.x]\n", 2, "(syntax)", "cannot declare"),
        ('[keeper]\njournal = "x', 2, "journal", "text stands in quotes"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(tmp_path: Path, text: str, line: int, key: str, remedy: str) -> None:
    [problem] = problems(tmp_path, text)
    assert (problem.source, problem.key) == (f"{tmp_path / 'keeper.toml'}:{line}", key)
    assert remedy in problem.remedy


def test_a_broken_line_with_a_secret_is_not_shown(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, '[venues.x.credentials]\napi_key = "topsecret\n')
    assert problem.key == "api_key"
    assert "topsecret" not in str(problem)


@pytest.mark.parametrize(
    ("raw", "words"),
    [(b"\xff\xfe", "UTF-8"), (b"a = " + b"[" * 5000, "nested too deep"), (b"a = " + b"9" * 5000, "too long to read")],
)
def test_a_file_that_no_parser_can_read_is_refused(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "keeper.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=words):
        load(path, {})


def test_a_folder_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        load(tmp_path, {})
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.toml", {})


def test_a_byte_order_mark_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path, PAPER)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load(path, {}).funds["btc3l"].venue == "sim"


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///", "mysql://localhost/keeper", "keeper.db", "postgresql://h/d"]
)
def test_a_journal_that_forgets_or_is_unknown_is_refused(tmp_path: Path, url: str) -> None:
    [problem] = problems(tmp_path, f'[keeper]\njournal = "{url}"\n')
    assert problem.key == "keeper.journal"
    assert 'must be "sqlite:///PATH"' in problem.remedy


def test_the_password_of_a_journal_is_never_shown(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, '[keeper]\njournal = "postgres://me:hunter2@db/keeper"\n')
    assert problem.value == '"postgres://***@db/keeper"'


def test_a_run_that_could_reach_into_the_next_slot_is_refused(tmp_path: Path) -> None:
    text = PAPER + 'schedule = { at = "00:15", jitter = "3h" }\nexecution = { horizon = "20h" }\n'
    [problem] = problems(tmp_path, text)
    assert (problem.key, problem.value) == ("funds.btc3l.execution.horizon", '"20h"')
    assert 'schedule.jitter + execution.horizon must be at most "22h"' in problem.remedy
    loaded(tmp_path, text.replace('"20h"', '"19h"'))


def test_an_exchange_that_ccxt_does_not_have_is_refused_with_those_that_keeper_is_at_home_on(tmp_path: Path) -> None:
    found = problems(tmp_path, '[venues.k]\nexchange = "mtgox"\nenvironment = "live"\n')
    [problem] = [one for one in found if one.key == "venues.k.exchange"]
    assert problem.value == '"mtgox"'
    assert '"binanceusdm"' in problem.remedy
