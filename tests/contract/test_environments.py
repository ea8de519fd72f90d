"""Where requests go: those of a testnet to the testnet's hosts, those of live to the live ones, and none elsewhere."""

from datetime import timedelta

import pytest
from yarl import URL

from keeper.domain.errors import ConfigError, VenueRefused
from keeper.domain.order import Accepted
from keeper.ports import Environment
from tests.contract.case import Ability, name_of, order
from tests.contract.cases import CASES, in_each_environment
from tests.contract.wire_case import WireCase


@in_each_environment()
async def test_every_request_goes_to_the_environment_s_own_hosts(case: WireCase, environment: Environment) -> None:
    async with case.served() as world, world.connected(environment) as venue:
        since = venue.clock.now() - timedelta(seconds=1)
        await venue.markets([case.main, case.second])
        await venue.account()
        await venue.quote(case.main)
        await venue.stats(case.main)
        await venue.time()
        asked = order(world, case.main)
        outcome = await venue.place(asked)
        assert isinstance(outcome, Accepted)
        await venue.lookup(case.main, asked.client_id)
        await venue.fills(case.main, outcome.report.order_id)
        await venue.orders(case.main, since)
        await venue.cancel(case.main, name_of(world, 2))
        await venue.dead_man([case.main], timedelta(seconds=60))
        assert len(world.server.requests) > 8
        assert [one.path for one in world.server.requests if not case.reaches(one, environment)] == []


@in_each_environment(served=False)
async def test_an_environment_that_the_exchange_has_not_is_refused_in_words(case: WireCase, environment: Environment) -> None:
    async with case.served() as world:
        with pytest.raises(ConfigError, match=f"{case.exchange} knows"):
            async with world.connected(environment):
                pass
        assert world.server.requests == []


@in_each_environment()
async def test_a_session_that_is_asked_for_another_host_refuses(case: WireCase, environment: Environment) -> None:
    foreign = (case.live | case.testnet | {"example.org"}) - case.hosts(environment)
    async with case.served() as world, world.connected(environment) as venue:
        world.server.requests.clear()
        session = venue._session
        assert session is not None
        for host in sorted(foreign):
            with pytest.raises(VenueRefused) as refusal:
                session.post(URL(f"https://{host}/"))
            assert refusal.value.code == "host"
        assert world.server.requests == []


def test_what_a_case_calls_lacking_has_a_reason() -> None:
    for case in CASES:
        assert all(isinstance(one, Ability) and reason for one, reason in case.lacks.items())
    assert len({case.name for case in CASES}) == len(CASES)
