from keeper.settings.addresses import SUPPORTED
from keeper.venues.dialects import DIALECTS


def test_what_may_be_configured_is_what_has_a_dialect() -> None:
    assert {name: tuple(row.credentials) for name, row in DIALECTS.items()} == SUPPORTED
