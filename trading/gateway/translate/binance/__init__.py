"""Binance spot's words in ours: instruments, orders, executions, balances and the streams."""

from trading.gateway.translate.binance.account import (
    account_id,
    balances,
    permissions,
    streamed_balances,
    streamed_movement,
)
from trading.gateway.translate.binance.market import (
    candles,
    last_prices,
    last_trade,
    order_book,
    quote,
    quotes,
    streamed_quote,
    streamed_trade,
)
from trading.gateway.translate.binance.orders import (
    execution_report,
    fill,
    order_parameters,
    order_report,
)
from trading.gateway.translate.binance.rules import delistings, instrument, instruments

__all__ = [
    "account_id",
    "balances",
    "candles",
    "delistings",
    "execution_report",
    "fill",
    "instrument",
    "instruments",
    "last_prices",
    "last_trade",
    "order_book",
    "order_parameters",
    "order_report",
    "permissions",
    "quote",
    "quotes",
    "streamed_balances",
    "streamed_movement",
    "streamed_quote",
    "streamed_trade",
]
