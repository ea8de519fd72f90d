from datetime import timedelta

from keeper.domain.inspection import Contact, KeyFacts, Modes, Setting, Ways


def test_what_an_exchange_does_not_say_is_neither_yes_nor_no() -> None:
    key, modes = KeyFacts(), Modes()
    assert [key.may_trade, key.may_withdraw, key.ip_bound, key.expires_at] == [None] * 4
    assert [modes.hedged, modes.margin, modes.leverage] == [None] * 3


def test_a_setting_that_nobody_described_can_not_be_changed_by_us() -> None:
    assert not any(setting in Ways().by_us for setting in Setting)


def test_a_clock_is_taken_to_be_told_exactly_unless_it_is_said_to_be_vague() -> None:
    assert Contact(latency=timedelta(0), offset=timedelta(seconds=1)).vague == timedelta(0)
