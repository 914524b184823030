"""What the comparison of an account asks for: executions only where they decide something."""

from decimal import Decimal

from tests import builders
from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain.position import Position
from trading.execution.reconcile import Difference

ETH = "ETH/USDT"


def _desk() -> Desk:
    """Half a Bitcoin and two of three Ether are managed."""
    desk = Desk(
        instruments=[builders.bitcoin(), builders.coin("ETH")],
        balances={"BTC": "0.5", "ETH": "3", "USDT": "10000"},
    )
    desk.exchange.prices[ETH] = Decimal(3000)
    known = dict(desk.book.snapshot().positions)
    known[ETH] = Position(ETH, Decimal(2), Decimal(6000), opened_at=builders.NOON)
    desk.book.load(known)
    return desk


async def test_no_execution_is_asked_for_while_everything_managed_is_there() -> None:
    desk = _desk()
    # Of one coin that Umbra does not manage: nobody makes anything of that.
    desk.exchange.sell_by_hand(ETH, "1")
    assert await desk.time.finish(desk.engine.reconcile([BTC, ETH])) == []
    assert desk.exchange.execution_reads == []
    assert desk.exchange.balance_reads == 1


async def test_a_start_asks_for_executions_of_what_is_missing_alone() -> None:
    desk = _desk()
    await desk.run(desk.entry())
    desk.exchange.sell_by_hand(ETH, "1.5")
    again = desk.restarted()
    again.exchange.execution_reads.clear()
    lines = await again.time.finish(again.engine.recover(await again.store.records.state()))
    assert set(again.exchange.execution_reads) == {ETH}
    told = [line.rpartition(": ")[2] for line in lines if ETH in line]
    assert told == [
        "1.5 ETH sold outside of Umbra",
        "the account shows 0.5 ETH less than Umbra manages",
    ]


async def test_what_is_sold_while_executions_are_read_is_left_to_the_next_look() -> None:
    desk = _desk()
    desk.exchange.sell_by_hand(BTC, "0.2")
    answer = desk.exchange.fills_since

    async def sold_meanwhile(symbol: str, since: object) -> object:
        told = await answer(symbol, since)  # type: ignore[arg-type]
        desk.exchange.sell_by_hand(ETH, "2")
        return told

    desk.exchange.fills_since = sold_meanwhile  # type: ignore[method-assign,assignment]
    first = await desk.time.finish(desk.engine.reconcile([BTC, ETH]))
    assert {one.symbol for one in first} == {BTC}
    desk.exchange.fills_since = answer  # type: ignore[method-assign]
    second = await desk.time.finish(desk.engine.reconcile([BTC, ETH]))
    assert [(one.kind, one.symbol, one.quantity) for one in second] == [
        (Difference.FOREIGN_SALE, BTC, Decimal("0.2")),
        (Difference.FOREIGN_SALE, ETH, Decimal(2)),
        (Difference.SHORT, BTC, Decimal("0.2")),
        (Difference.SHORT, ETH, Decimal(1)),
    ]
