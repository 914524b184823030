"""H01, H02: a key that may do more than trade stops a start, and new risk while running."""

from dataclasses import replace
from typing import Any

import pytest

from tests.contract.gateway.worlds import MachineClock, control, settings_of, simulated
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.chat import Severity
from trading.domain.commands import SetTradingMode
from trading.domain.errors import SettingsInvalid, Unreachable
from trading.domain.events import AlertRaised, ProcessStarted
from trading.domain.position import TradingMode
from trading.gateway import create_gateway
from trading.key_rights import judge_key
from trading.schedule import JOBS

DANGEROUS = {
    "enableWithdrawals": (True, "may withdraw"),
    "enableInternalTransfer": (True, "may transfer"),
    "permitsUniversalTransfer": (True, "may transfer"),
    "enableMargin": (True, "margin"),
    "enableFutures": (True, "futures"),
    "enableVanillaOptions": (True, "options"),
    "enablePortfolioMarginTrading": (True, "margin"),
    "ipRestrict": (False, "any address"),
    "enableSpotAndMarginTrading": (False, "may not trade"),
}
HARMLESS = ("enableReading", "enableFixApiTrade", "enableFixReadOnly")


async def test_every_flag_of_the_exchange_is_judged_over_real_sockets() -> None:
    async with simulated() as sim:
        gateway = create_gateway(settings_of(sim), MachineClock())
        await gateway.connect()
        try:
            said: Any = await control(sim, "permissions", {})
            usual = {flag: value for flag, value in said.items() if flag != "revoked"}
            assert set(usual) == {*DANGEROUS, *HARMLESS}
            assert not judge_key(await gateway.permissions(), accepts_unrestricted=False)
            for flag, (value, words) in DANGEROUS.items():
                await control(sim, "permissions", {**usual, flag: value})
                [found] = judge_key(await gateway.permissions(), accepts_unrestricted=False)
                assert words in found.text, flag
        finally:
            await gateway.close()


@pytest.fixture
async def world() -> Any:
    async with AgentWorld() as running:
        yield running


async def _give(world: AgentWorld, **rights: bool) -> None:
    usual = await world.exchange.permissions()

    async def permissions() -> Any:
        return replace(usual, **rights)

    world.exchange.permissions = permissions  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("rights", "words"),
    [
        ({"can_withdraw": True}, "may withdraw"),
        ({"can_transfer": True}, "may transfer"),
        ({"can_borrow": True}, "spot only"),
        ({"is_ip_restricted": False}, "UMBRA_ALLOW_UNRESTRICTED_KEY"),
    ],
)
async def test_a_dangerous_key_stops_the_start_before_anything_is_sent(
    world: AgentWorld, rights: dict[str, bool], words: str
) -> None:
    await world.kill()
    await _give(world, **rights)
    starts, orders = len(world.store.of(ProcessStarted)), len(world.exchange.sent)
    with pytest.raises(SettingsInvalid, match=words):
        await world.start()
    assert len(world.store.of(ProcessStarted)) == starts
    assert len(world.exchange.sent) == orders


@pytest.mark.parametrize("right", ["can_withdraw", "can_transfer", "can_borrow"])
async def test_a_right_that_a_running_agents_key_is_given_ends_new_risk_and_alarms(
    world: AgentWorld, right: str
) -> None:
    await _give(world, **{right: True})
    await world.agent.jobs()["key_permissions"]()
    status = world.desk.status()
    assert status.state is TradingMode.REDUCING
    assert status.trading_mode is not None
    assert "exchange key" in status.trading_mode.reason
    [alert] = [one for one in world.store.of(AlertRaised) if "exchange key" in one.text]
    assert alert.severity is Severity.CRIT


async def test_a_dangerous_key_never_loosens_a_halt(world: AgentWorld) -> None:
    await world.do(SetTradingMode(TradingMode.HALTED))
    await _give(world, can_withdraw=True)
    await world.agent.jobs()["key_permissions"]()
    assert world.desk.status().state is TradingMode.HALTED


async def test_an_exchange_that_cannot_tell_stops_no_start_and_is_asked_each_minute(
    world: AgentWorld,
) -> None:
    await world.kill()
    asked: list[str] = []

    async def silent() -> Any:
        asked.append("rights")
        raise Unreachable("no answer")

    usual = world.exchange.permissions
    world.exchange.permissions = silent  # type: ignore[method-assign]
    await world.start()
    assert asked
    world.exchange.permissions = usual  # type: ignore[method-assign]
    await _give(world, can_withdraw=True)
    await world.agent.jobs()["balances"]()
    assert world.desk.status().state is TradingMode.REDUCING


def test_the_rights_are_asked_every_six_hours() -> None:
    [job] = [job for job in JOBS if job.name == "key_permissions"]
    assert job.every_s == 6 * 3600
