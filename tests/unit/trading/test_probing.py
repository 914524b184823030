"""The exchange is asked now and then; what turns is told once, and new risk waits for its end."""

from collections.abc import AsyncIterator, Mapping

import pytest

from tests.catalogue import fired
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.chat import Severity
from trading.domain.commands import Panic, PlaceOrder
from trading.domain.errors import AuthLost, Exhausted, RateLimited, Refused, Unreachable
from trading.domain.events import ConditionChanged
from trading.domain.market import Quote
from trading.domain.money import ONE
from trading.domain.order import Side
from trading.domain.position import Balance, TradingMode
from trading.domain.tracker import Amount, AmountKind
from trading.reachability import AUTH_LOST, EXCHANGE_DOWN


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as made:
        yield made


async def probe(world: AgentWorld, times: int, every_s: float = 5.0) -> None:
    for _ in range(times):
        await world.agent.jobs()["exchange_probe"]()
        await world.time.pass_by(every_s)


def told(world: AgentWorld, name: str) -> list[ConditionChanged]:
    return [one for one in world.store.of(ConditionChanged) if one.condition == name]


@pytest.mark.fault("X35")
async def test_an_exchange_that_is_gone_is_told_once_and_its_return_too(world: AgentWorld) -> None:
    await world.protect()
    world.exchange.is_down = True
    await probe(world, 8)
    [lost] = told(world, EXCHANGE_DOWN)
    assert lost.severity is Severity.CRIT
    assert "cannot sell until it answers" in lost.text
    assert lost in world.desk.status().conditions
    world.exchange.is_down = False
    await probe(world, 8)
    assert [one.is_active for one in told(world, EXCHANGE_DOWN)] == [True, False]
    assert "answers again" in told(world, EXCHANGE_DOWN)[1].text
    assert not world.desk.status().conditions
    fired(world.exchange.unreached, words=lost.text)


@pytest.mark.fault("P10", "SAID")
@pytest.mark.parametrize("missing", ["no memory left", "no file descriptor left"])
async def test_what_this_machine_lacks_is_not_told_of_the_exchange(
    world: AgentWorld, missing: str
) -> None:
    await world.protect()
    world.exchange.down_error, world.exchange.is_down = Exhausted(missing), True
    await probe(world, 8)
    [lost] = told(world, EXCHANGE_DOWN)
    assert lost.severity is Severity.CRIT
    assert lost.text.startswith(f"This machine has {missing}, so Umbra cannot ask the exchange")
    assert "cannot be reached" not in lost.text
    fired(world.exchange.unreached, words=lost.text)


async def test_an_exchange_that_hangs_is_told_as_soon_as_a_dead_one(world: AgentWorld) -> None:
    await world.protect()
    world.exchange.is_hanging = True
    since_s = world.time.monotonic()
    while not told(world, EXCHANGE_DOWN):
        assert world.time.monotonic() - since_s < 20
        began_s = world.time.monotonic()
        await world.time.finish(world.agent.jobs()["exchange_probe"]())
        await world.time.settle()
        if not told(world, EXCHANGE_DOWN):
            await world.time.pass_by(5 - (world.time.monotonic() - began_s))
    # Three probes, one each 5 s from the hang on, and the 3 s that the last one waited.
    assert world.exchange.hung >= 3
    assert world.time.monotonic() - since_s <= 13.5


async def test_health_and_its_reason_follow_the_exchange(world: AgentWorld) -> None:
    await world.protect()
    assert world.desk.health().is_healthy
    world.exchange.is_down = True
    await probe(world, 4)
    health = world.desk.health()
    assert (health.is_healthy, health.is_working) == (False, True)
    assert health.troubles[0].startswith("The exchange cannot be reached")
    assert (health.stream, health.account_stream, health.clock_offset_ms) == ("lost", "lost", None)
    [position] = world.desk.positions()
    assert (position.is_protected, position.is_blind) == (False, True)
    assert not world.desk.tracker(1).is_protecting
    world.exchange.is_down = False
    await probe(world, 8)
    await world.move("60000")
    assert world.desk.health().is_healthy
    assert world.desk.positions()[0].is_protected


async def test_what_only_waits_for_its_end_is_neither_repeated_nor_shown(world: AgentWorld) -> None:
    await world.protect()
    world.exchange.is_down = True
    await probe(world, 4)
    assert [one.condition for one in world.desk.standing().conditions] == [EXCHANGE_DOWN]
    world.exchange.is_down = False
    await probe(world, 1)
    assert world.agent.state.has_condition(EXCHANGE_DOWN)
    assert world.desk.standing().conditions == ()
    assert world.desk.status().conditions == ()
    world.exchange.is_down = True
    await probe(world, 1)
    assert [one.condition for one in world.desk.standing().conditions] == [EXCHANGE_DOWN]


@pytest.mark.parametrize(("failed", "lasted"), [(4, "15 s"), (40, "3 min")])
async def test_the_end_of_a_loss_says_since_when_all_was_well_and_how_long_it_was(
    world: AgentWorld, failed: int, lasted: str
) -> None:
    world.exchange.is_down = True
    await probe(world, failed)
    world.exchange.is_down = False
    back = f"{world.time.now():%H:%M:%S}"
    await probe(world, 8)
    ended = f"the exchange answers again since {back} UTC, after {lasted}"
    assert told(world, EXCHANGE_DOWN)[1].text == ended


async def test_stale_prices_stop_being_repeated_with_the_first_fresh_one(world: AgentWorld) -> None:
    await world.protect()
    world.exchange.is_hanging = True
    for _ in range(20):
        await world.time.finish(world.agent.jobs()["staleness_watch"]())
        await world.time.pass_by(1)
    assert [one.condition for one in world.desk.standing().conditions] == ["stale_data"]
    world.exchange.is_hanging = False
    await world.move("60010")
    assert world.agent.state.has_condition("stale_data", "BTC/USDT")
    assert world.desk.standing().conditions == ()


async def test_a_start_that_waits_for_the_exchange_is_told_once_and_its_end_too(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.kill()
    world.exchange.is_down = True
    with pytest.raises(Unreachable):
        await world.start()
    for _ in range(3):
        await world.time.finish(world.agent.tell_unreached("Asked is fake"))
    [waiting] = told(world, EXCHANGE_DOWN)
    assert waiting.severity is Severity.CRIT
    assert "NO private stop is watched" in waiting.text
    assert waiting.text.endswith("again and again. Asked is fake")
    assert world.desk.standing().conditions == (waiting,)
    await world.kill()
    world.exchange.is_down = False
    await world.start()
    await probe(world, 8)
    assert [one.is_active for one in told(world, EXCHANGE_DOWN)] == [True, False]


async def test_old_prices_are_never_called_live_or_healthy(world: AgentWorld) -> None:
    await world.protect()
    world.exchange.is_hanging = True
    for _ in range(20):
        await world.time.finish(world.agent.jobs()["staleness_watch"]())
        await world.time.pass_by(1)
    health = world.desk.health()
    assert world.exchange.hung
    assert not health.is_healthy
    assert "fresh price" in health.troubles[0]
    assert health.stream == "lost"
    assert world.desk.status().stream == "lost"
    assert not world.desk.positions()[0].is_protected


async def test_a_start_whose_prices_have_not_come_is_not_healthy(world: AgentWorld) -> None:
    await world.protect()
    await world.kill()
    streamed = world.exchange.quote_now

    def nothing(_symbol: str) -> Quote:
        raise Unreachable("no quotes")

    world.exchange.quote_now = nothing  # type: ignore[method-assign]
    await world.start()
    health = world.desk.health()
    assert not health.is_healthy
    assert health.troubles == ("no price has come yet of BTC/USDT",)
    world.exchange.quote_now = streamed  # type: ignore[method-assign]
    await world.move("60000")
    assert world.desk.health().is_healthy


async def test_without_anything_at_stake_it_is_a_warning(world: AgentWorld) -> None:
    world.exchange.is_down = True
    await probe(world, 4)
    assert [one.severity for one in told(world, EXCHANGE_DOWN)] == [Severity.WARN]


@pytest.mark.fault("X13")
async def test_a_ban_is_told_with_its_end(world: AgentWorld) -> None:
    refused: list[RateLimited] = []

    async def banned() -> int:
        refused.append(RateLimited("http 418", 120.0))
        raise refused[-1]

    world.exchange.clock_offset_ms = banned  # type: ignore[method-assign]
    await probe(world, 2)
    [ban] = told(world, EXCHANGE_DOWN)
    assert "bans this address until" in ban.text
    fired(refused, words=ban.text)


@pytest.mark.parametrize(("silence_s", "is_told"), [(9.0, False), (15.0, True)])
async def test_a_shorter_silence_is_told_when_a_stop_would_wait_for_it(
    world: AgentWorld, silence_s: float, *, is_told: bool
) -> None:
    async def silent() -> int:
        raise RateLimited("the exchange asked for silence", silence_s)

    world.exchange.clock_offset_ms = silent  # type: ignore[method-assign]
    await probe(world, 2)
    texts = [one.text for one in told(world, EXCHANGE_DOWN)]
    assert len(texts) == is_told
    assert all("asks this address for silence until" in text for text in texts)


async def test_our_own_count_of_requests_is_no_loss(world: AgentWorld) -> None:
    async def paced() -> int:
        raise RateLimited("our own bound", 90.0, is_own_count=True)

    world.exchange.clock_offset_ms = paced  # type: ignore[method-assign]
    await probe(world, 10)
    assert not told(world, EXCHANGE_DOWN)


@pytest.mark.fault("X15", "SAID")
async def test_a_key_that_is_refused_by_three_probes_is_told_and_new_risk_waits(
    world: AgentWorld,
) -> None:
    await probe(world, 1, every_s=61)
    world.exchange.is_key_lost = True
    await probe(world, 2)
    assert not told(world, AUTH_LOST)
    await probe(world, 1)
    assert [one.is_active for one in told(world, AUTH_LOST)] == [True]
    await probe(world, 20)
    assert [one.is_active for one in told(world, AUTH_LOST)] == [True]
    purchase = PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, ONE * 100))
    with pytest.raises(Refused, match="auth lost"):
        await world.do(purchase)
    world.exchange.is_key_lost = False
    await probe(world, 20)
    assert [one.is_active for one in told(world, AUTH_LOST)] == [True, False]
    await world.do(purchase)
    fired(world.exchange.keys_refused)


@pytest.mark.fault("X15", "SAID")
async def test_a_refusal_of_any_signed_request_makes_each_probe_ask_for_the_key(
    world: AgentWorld,
) -> None:
    await probe(world, 1)
    world.exchange.is_key_lost = True
    refused_s = world.time.monotonic()
    # The next signed probe is due in a minute; the balances are asked for first.
    with pytest.raises(AuthLost):
        await world.time.finish(world.agent.jobs()["balances"]())
    while not told(world, AUTH_LOST):
        await probe(world, 1)
    assert world.time.monotonic() - refused_s <= 15
    fired(world.exchange.keys_refused)


async def test_a_panic_needs_no_key_to_end_the_stops_and_to_halt(world: AgentWorld) -> None:
    await world.protect()
    world.exchange.is_key_lost = True
    await world.do(Panic(everything=True))
    assert world.agent.trackers.count() == 0
    assert world.agent.state.mode is TradingMode.HALTED


async def test_one_refusal_among_signed_answers_is_not_told(world: AgentWorld) -> None:
    for _ in range(20):
        world.exchange.is_key_lost = True
        with pytest.raises(AuthLost):
            await world.time.finish(world.agent.jobs()["balances"]())
        world.exchange.is_key_lost = False
        await probe(world, 1)
    assert not told(world, AUTH_LOST)


async def test_a_refused_key_is_asked_with_calmly_once_that_is_told(world: AgentWorld) -> None:
    asked_s: list[float] = []
    # The look that follows each new stream of the account is over.
    await world.time.pass_by(3)
    balances = world.exchange.balances

    async def counted() -> Mapping[str, Balance]:
        asked_s.append(world.time.monotonic())
        return await balances()

    world.exchange.balances = counted  # type: ignore[method-assign]
    world.exchange.is_key_lost = True
    world.agent._key_refused()
    await probe(world, 40)
    told_s = asked_s[2]
    later = [at_s for at_s in asked_s if at_s > told_s]
    assert [at_s - told_s for at_s in later] == [20.0 * n for n in range(1, len(later) + 1)]
    assert later


async def test_a_loss_from_before_a_restart_ends_after_it(world: AgentWorld) -> None:
    world.exchange.is_down = True
    await probe(world, 4)
    await world.kill()
    world.exchange.is_down = False
    await world.start()
    assert world.desk.status().conditions
    await probe(world, 8)
    assert [one.is_active for one in told(world, EXCHANGE_DOWN)] == [True, False]
    # Nobody measured it from its beginning.
    assert "after" not in told(world, EXCHANGE_DOWN)[1].text
