"""The markets of the simulated exchange: their rules, and what each coin costs at the start."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument

MARKETS_DEFAULT = 9
MARKETS_MAX = 500
_NOTIONAL_MIN = Decimal(5)
_NOTIONAL_MAX = Decimal(9_000_000)
_ORDERS_OPEN_MAX = 200
# Whatever a coin costs, a market order may move about this much quote.
_MARKET_ORDER_NOTIONAL = Decimal(7_000_000)

# USDT per coin; every cross is derived from these, so related markets agree.
COIN_PRICES = {
    "BTC": Decimal(60_000),
    "ETH": Decimal(3_000),
    "SOL": Decimal(150),
    "ADA": Decimal("0.9"),
    "DOGE": Decimal("0.12"),
    "USDC": Decimal(1),
    "USDT": Decimal(1),
    "BNB": Decimal(600),
}
# base, quote, price tick, quantity step
_MARKETS = (
    ("BTC", "USDT", "0.01", "0.00001"),
    ("ETH", "USDT", "0.01", "0.0001"),
    ("SOL", "USDT", "0.01", "0.001"),
    ("ADA", "USDT", "0.0001", "0.1"),
    ("DOGE", "USDT", "0.00001", "1"),
    ("ADA", "USDC", "0.0001", "0.1"),
    ("BTC", "USDC", "0.01", "0.00001"),
    ("ETH", "BTC", "0.00001", "0.0001"),
    ("ADA", "BTC", "0.00000001", "0.1"),
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The instruments listed and the start price in USDT of every coin in them."""

    instruments: tuple[Instrument, ...]
    coin_prices: dict[str, Decimal]


def catalogue(markets: int, seed: int) -> Catalogue:
    """List that many instruments: nine of the house, then generated coins against USDT."""
    if not 1 <= markets <= MARKETS_MAX:
        raise Refused(
            f"number of markets should be from 1 to {MARKETS_MAX}, was {markets}", example="25"
        )
    prices = dict(COIN_PRICES)
    instruments = [
        instrument(base, quote, Decimal(tick), Decimal(step), prices[base] / prices[quote])
        for base, quote, tick, step in _MARKETS[:markets]
    ]
    chance = Random(f"coins {seed}")
    for number in range(len(_MARKETS) + 1, markets + 1):
        base = f"COIN{number}"
        price = Decimal(f"{10 ** chance.uniform(-1.5, 2.5):.3g}")
        tick, step = _grid(price)
        prices[base] = (price / tick).to_integral_value() * tick
        instruments.append(instrument(base, "USDT", tick, step, prices[base]))
    return Catalogue(tuple(instruments), prices)


def with_market(listed: Catalogue, base: str, quote: str, price: Decimal) -> Catalogue:
    """Let a market (of a tape, say) start at this price, and list it if it is not yet."""
    prices = dict(listed.coin_prices)
    prices.setdefault(quote, Decimal(1))
    prices[base] = price * prices[quote]
    if any(i.base == base and i.quote == quote for i in listed.instruments):
        return Catalogue(listed.instruments, prices)
    tick, step = _grid(price)
    added = instrument(base, quote, tick, step, price)
    return Catalogue((*listed.instruments, added), prices)


def instrument(base: str, quote: str, tick: Decimal, step: Decimal, price: Decimal) -> Instrument:
    """Return an instrument with the house's limits, scaled to what the quote coin is worth."""
    quote_price = COIN_PRICES.get(quote, Decimal(1))
    largest = (_MARKET_ORDER_NOTIONAL / quote_price / price / step).to_integral_value() * step
    notional_min = _NOTIONAL_MIN if quote_price == 1 else Decimal("0.0001")
    return Instrument(
        symbol=f"{base}/{quote}",
        exchange_symbol=f"{base}{quote}",
        base=base,
        quote=quote,
        price_tick=tick,
        quantity_step=step,
        quantity_min=step,
        quantity_max=largest * 75,
        market_quantity_max=largest,
        notional_min=notional_min,
        notional_max=_NOTIONAL_MAX / quote_price,
        price_min=tick,
        price_max=Decimal(1_000_000),
        price_ratio_min=Decimal("0.2"),
        price_ratio_max=Decimal(5),
        orders_open_max=_ORDERS_OPEN_MAX,
    )


def coins(instruments: Iterable[Instrument]) -> tuple[str, ...]:
    """Return every coin of these instruments, each once, in a stable order."""
    return tuple(dict.fromkeys(coin for i in instruments for coin in (i.base, i.quote)))


def _grid(price: Decimal) -> tuple[Decimal, Decimal]:
    """Five significant digits for the price, about a cent of quote for the quantity."""
    magnitude = math.floor(math.log10(price))
    tick = Decimal(1).scaleb(min(max(magnitude - 4, -8), -2))
    step = Decimal(1).scaleb(min(max(-2 - magnitude, -5), 0))
    return tick, step
