"""The account is valued in one currency, and positions follow durable events."""

from dataclasses import replace
from decimal import Decimal

from tests.builders import NOON, fill
from trading.domain.events import AttemptChanged, FillBooked, Heartbeat, PositionAdjusted
from trading.domain.order import Attempt, AttemptState, OrderRequest, OrderType, Side
from trading.domain.position import AdjustReason, Balance, Position
from trading.domain.valuation import price_in, route
from trading.portfolio import PortfolioBook


def test_a_price_is_found_directly_inverted_or_through_one_bridge() -> None:
    prices = {"BTC/USDT": Decimal(60_000), "ETH/BTC": Decimal("0.05"), "USDC/USDT": Decimal(1)}
    assert price_in("USDT", "USDT", prices) == 1
    assert price_in("BTC", "USDT", prices) == 60_000
    assert price_in("ETH", "USDT", prices) == 3_000
    assert price_in("USDT", "BTC", prices) == 1 / Decimal(60_000)
    assert price_in("XRP", "USDT", prices) is None
    assert price_in("USDT", "NEW", {"NEW/USDT": Decimal(0)}) is None
    # No market of its own: 60,000 USDT for 50,000 DAI.
    assert price_in("DAI", "USDT", prices | {"BTC/DAI": Decimal(50_000)}) == Decimal("1.2")


def test_a_route_names_the_markets_that_value_an_asset() -> None:
    symbols = {"BTC/USDT", "BTC/USDC", "ETH/BTC", "USDT/TRY"}
    assert route("USDT", "USDT", symbols) == ()
    assert route("BTC", "USDT", symbols) == ("BTC/USDT",)
    assert route("TRY", "USDT", symbols) == ("USDT/TRY",)
    assert route("ETH", "USDT", symbols) == ("ETH/BTC", "BTC/USDT")
    assert route("USDC", "USDT", symbols) == ("BTC/USDC", "BTC/USDT")
    assert route("XRP", "USDT", symbols) is None
    assert route("ETH", "TRY", symbols) is None


def test_what_an_ended_sell_order_held_may_be_locked_until_a_newer_balance() -> None:
    request = OrderRequest("u-1", "BTC/USDT", Side.SELL, OrderType.LIMIT, Decimal("0.5"))
    canceled = Attempt("i", 1, request, AttemptState.CANCELED, NOON, filled_quantity=Decimal("0.1"))
    locked = Balance("BTC", Decimal(0), Decimal("0.5"))

    def ended(attempt: Attempt) -> PortfolioBook:
        book = PortfolioBook("USDT")
        book.set_balances({"BTC": locked}, 1.0)
        book.apply(AttemptChanged(attempt, "canceled", NOON))
        book.apply(AttemptChanged(attempt, "canceled", NOON))
        return book

    book = ended(canceled)
    assert (book.unlocked("BTC"), book.unlocked("USDT")) == (Decimal("0.4"), 0)
    # A read that began before the end may show its units as locked; a later one does not.
    book.set_balances({"BTC": locked}, 2.0, booked=0)
    assert book.unlocked("BTC") == Decimal("0.4")
    book.set_balances({"BTC": locked}, 3.0)
    assert book.unlocked("BTC") == 0
    # Nor does what the stream tells of the asset itself, before or after the end is known.
    book = ended(canceled)
    book.set_balance(locked)
    assert book.unlocked("BTC") == 0
    book.apply(AttemptChanged(canceled, "canceled", NOON))
    assert book.unlocked("BTC") == 0
    book.hear(None)
    book.apply(AttemptChanged(canceled, "canceled", NOON))
    assert book.unlocked("BTC") == Decimal("0.4")
    # An order that never stood in the book locked nothing.
    assert ended(replace(canceled, state=AttemptState.ABSENT)).unlocked("BTC") == 0


def test_a_rate_stands_until_a_price_of_its_own_is_there() -> None:
    book = PortfolioBook("USDT")
    book.set_price("BTC/USDT", Decimal(60_000))
    book.set_price("BTC/USDC", Decimal(60_000))
    book.set_rates({"USDC": Decimal("0.999")})
    book.set_price("BTC/USDT", Decimal(50_000))
    assert book.value("USDC", Decimal(1_000)) == 999
    book.set_price("USDC/USDT", Decimal("1.001"))
    assert book.value("USDC", Decimal(1_000)) == 1_001


def test_equity_adds_what_can_be_priced_and_names_what_cannot() -> None:
    book = PortfolioBook("USDT")
    book.set_balances(
        {
            "USDT": Balance("USDT", Decimal(100), Decimal(0)),
            "BTC": Balance("BTC", Decimal("0.4"), Decimal("0.1")),
            "XRP": Balance("XRP", Decimal(5), Decimal(0)),
        },
        10.0,
    )
    book.set_price("BTC/USDT", Decimal(60_000))
    assert book.equity() == 30_100
    assert [each.asset for each in book.unpriced()] == ["XRP"]
    assert book.balances_at_s == 10.0
    book.set_balance(Balance("BTC", Decimal(0), Decimal(0)))
    assert book.equity() == 100


def test_positions_follow_fills_adoptions_and_releases() -> None:
    book = PortfolioBook("USDT")
    book.load({"ETH/USDT": Position("ETH/USDT", Decimal(1), Decimal(3000))})
    adopted = PositionAdjusted(
        "BTC/USDT", Decimal(1), Decimal(50_000), AdjustReason.ADOPTED, "", NOON
    )
    book.apply(adopted)
    book.apply(FillBooked(fill(Side.SELL, "0.4"), "i", "BTC", "USDT", NOON))
    book.apply(Heartbeat(NOON))
    assert book.snapshot().managed("BTC/USDT") == Decimal("0.6")
    released = PositionAdjusted(
        "BTC/USDT", Decimal("-0.6"), Decimal(1), AdjustReason.EXTERNAL, "", NOON
    )
    book.apply(released)
    assert book.snapshot().managed("BTC/USDT") == 0
    assert book.snapshot().managed("ETH/USDT") == 1


def test_a_portfolio_that_was_handed_out_stays_as_it_was_whatever_changes_next() -> None:
    book = PortfolioBook("USDT")
    book.set_price("BTC/USDT", Decimal(60_000))
    book.set_balance(Balance("BTC", Decimal(1), Decimal(0)))
    adopted = PositionAdjusted(
        "BTC/USDT", Decimal(1), Decimal(50_000), AdjustReason.ADOPTED, "", NOON
    )
    book.apply(adopted)
    changes = (
        lambda: book.set_price("BTC/USDT", Decimal(61_000)),
        lambda: book.set_price("ETH/USDT", Decimal(3_000)),
        lambda: book.set_balance(Balance("BTC", Decimal(2), Decimal(0))),
        lambda: book.set_balances({"USDT": Balance("USDT", Decimal(5), Decimal(0))}, 1.0),
        lambda: book.apply(adopted),
        lambda: book.load({}),
    )
    for change in changes:
        before = book.snapshot()
        held = dict(before.balances), dict(before.positions), dict(before.prices)
        ahead = book.preview(adopted)
        assert ahead.managed("BTC/USDT") == before.managed("BTC/USDT") + 1
        change()
        assert (before.balances, before.positions, before.prices) == held
        assert book.snapshot() != before


def test_only_a_read_that_began_after_a_booked_sale_shows_it() -> None:
    book = PortfolioBook("USDT")
    before = book.booked
    book.apply(FillBooked(fill(side=Side.SELL), "exit", "BTC", "USDT", NOON))
    assert book.is_behind("BTC")
    assert not book.is_behind("USDT")
    book.set_balance(Balance("BTC", Decimal(1), Decimal(0)))
    # It may have left the exchange before the sale.
    book.set_balances({"BTC": Balance("BTC", Decimal(1), Decimal(0))}, 1.0, before)
    assert book.is_behind("BTC")
    book.set_balances({"BTC": Balance("BTC", Decimal(0), Decimal(0))}, 2.0, book.booked)
    assert not book.is_behind("BTC")


def test_only_a_read_of_after_a_subscription_shows_what_no_stream_told_of() -> None:
    book = PortfolioBook("USDT")
    assert not book.is_behind("BTC")
    book.set_balances({}, 1.0)
    book.hear(None)
    # Each read is of one moment, and the next sale of others may come right after it.
    book.set_balances({}, 2.0)
    assert book.is_behind("BTC")
    book.hear(4.0)
    book.set_balances({}, 3.0)
    assert book.is_behind("BTC")
    book.set_balances({}, 4.0)
    assert not book.is_behind("BTC")
