"""A written plan is judged once more after the operator's answer: while they think, prices go on."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import typer
from rich.console import Console

from keeper.bootstrap import Desk as RealDesk
from keeper.cli.acting import Request, _approved
from keeper.domain.run import CommandKind
from keeper.planning.written import from_document
from tests.fakes.desks import Desk, desk_of, drifted
from tests.fakes.paper import PERP


def thinks(answer: bool, meanwhile: Callable[[], object]) -> Callable[..., bool]:  # noqa: FBT001 # what is typed
    def confirm(*_arguments: Any, **_options: Any) -> bool:
        meanwhile()
        return answer

    return confirm


async def approved(desk: Desk, monkeypatch: pytest.MonkeyPatch, confirm: Callable[..., bool]) -> list[str] | None:
    """The codes of what forbids the plan that comes of the operator's answer; None where they said no."""
    await desk.rebalancer.plan()
    by = from_document(desk.rebalancer.written(desk.fund.limits.max_slippage_bps))
    monkeypatch.setattr(typer, "confirm", confirm)
    request = Request(kind=CommandKind.REBALANCE, yes=False, as_json=False, reason="", by=by)
    made = await _approved(cast("RealDesk", desk), Console(file=io.StringIO()), request)
    return None if made is None else [refusal.code for refusal in made.refusals]


async def test_a_yes_to_what_is_still_so_approves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        assert await approved(desk, monkeypatch, thinks(True, lambda: None)) == []


async def test_a_yes_after_the_price_moved_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        assert await approved(desk, monkeypatch, thinks(True, lambda: desk.feed.move(PERP, "106"))) == ["plan_price"]


async def test_a_no_is_a_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk_of(drifted(), tmp_path) as desk:
        assert await approved(desk, monkeypatch, thinks(False, lambda: None)) is None
