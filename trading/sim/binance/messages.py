"""Binance's words for orders, fills and balances."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from trading.domain.instrument import Instrument
from trading.domain.money import ZERO
from trading.domain.order import OrderStatus, Side
from trading.sim.account import Account
from trading.sim.binance.filters import number
from trading.sim.models import FeeSchedule
from trading.sim.orders import EndReason, Execution, OrderChange, PlacedOrder

Json = dict[str, Any]

_STATUSES = {
    OrderStatus.NEW: "NEW",
    OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
    OrderStatus.REJECTED: "REJECTED",
}
_EXECUTION_TYPES = {
    OrderChange.ACCEPTED: "NEW",
    OrderChange.TRIGGERED: "NEW",
    OrderChange.TRADED: "TRADE",
    OrderChange.CANCELED: "CANCELED",
    OrderChange.EXPIRED: "EXPIRED",
}
_ROLES = ("maker", "taker")


def status(order: PlacedOrder) -> str:
    """Return an order's status word."""
    if order.end_reason is EndReason.SELF_TRADE:
        return "EXPIRED_IN_MATCH"
    return _STATUSES[order.status]


def order(placed: PlacedOrder, instrument: Instrument) -> Json:
    """Return an order as queries and lists show it."""
    ticket = placed.ticket
    shown = {
        "symbol": instrument.exchange_symbol,
        "orderId": placed.order_id,
        "orderListId": -1,
        "clientOrderId": ticket.client_order_id,
        "price": number(ticket.price or ZERO),
        "origQty": number(placed.quantity),
        "executedQty": number(placed.executed),
        "origQuoteOrderQty": number(ticket.quote_quantity or ZERO),
        "cummulativeQuoteQty": number(placed.notional),
        "status": status(placed),
        "timeInForce": ticket.time_in_force.name,
        "type": ticket.kind.value,
        "side": ticket.side.name,
        "stopPrice": number(ticket.stop_price or ZERO),
        "icebergQty": number(ZERO),
        "time": placed.created_ms,
        "updateTime": placed.updated_ms,
        "isWorking": placed.working_ms is not None,
        "workingTime": -1 if placed.working_ms is None else placed.working_ms,
        "selfTradePreventionMode": ticket.self_trade.value,
    }
    if ticket.stop_price is None:
        del shown["stopPrice"]
    return shown


def order_ack(placed: PlacedOrder, instrument: Instrument) -> Json:
    """Return the shortest answer to a new order."""
    return {
        "symbol": instrument.exchange_symbol,
        "orderId": placed.order_id,
        "orderListId": -1,
        "clientOrderId": placed.ticket.client_order_id,
        "transactTime": placed.updated_ms,
    }


def order_result(placed: PlacedOrder, instrument: Instrument) -> Json:
    """Return the answer to a new order without its fills."""
    shown = order(placed, instrument)
    for name in ("icebergQty", "time", "updateTime", "isWorking"):
        del shown[name]
    return {**order_ack(placed, instrument), **shown}


def order_full(placed: PlacedOrder, instrument: Instrument) -> Json:
    """Return the answer to a new order with its fills."""
    fills = [
        {
            "price": number(execution.price),
            "qty": number(execution.quantity),
            "commission": number(execution.fee.amount),
            "commissionAsset": execution.fee.asset,
            "tradeId": execution.trade_id,
        }
        for execution in placed.executions
    ]
    return {**order_result(placed, instrument), "fills": fills}


def canceled(placed: PlacedOrder, instrument: Instrument, cancel_client_id: str) -> Json:
    """Return the answer to a cancel: the cancel has an id of its own."""
    return {
        **order_result(placed, instrument),
        "origClientOrderId": placed.ticket.client_order_id,
        "clientOrderId": cancel_client_id,
    }


def my_trade(execution: Execution, instrument: Instrument) -> Json:
    """Return a fill as myTrades lists it."""
    is_buyer = execution.side is Side.BUY
    return {
        "symbol": instrument.exchange_symbol,
        "id": execution.trade_id,
        "orderId": execution.order_id,
        "orderListId": -1,
        "price": number(execution.price),
        "qty": number(execution.quantity),
        "quoteQty": number(execution.notional),
        "commission": number(execution.fee.amount),
        "commissionAsset": execution.fee.asset,
        "time": execution.at_ms,
        "isBuyer": is_buyer,
        "isMaker": execution.is_maker,
        "isBestMatch": True,
    }


def account(
    held: Account, fees: FeeSchedule, permissions: Mapping[str, bool], uid: int, now_ms: int
) -> Json:
    """Return the account with its balances."""
    return {
        "makerCommission": int(fees.maker * 10_000),
        "takerCommission": int(fees.taker * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": _rates(fees),
        "canTrade": permissions["enableSpotAndMarginTrading"],
        "canWithdraw": permissions["enableWithdrawals"],
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": now_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": number(held.free(asset)), "locked": number(held.locked(asset))}
            for asset in held.assets
        ],
        "permissions": ["SPOT"],
        "uid": uid,
    }


def commission(symbol: str, fees: FeeSchedule) -> Json:
    """Return the rates of one symbol."""
    nothing = {name: number(ZERO) for name in (*_ROLES, "buyer", "seller")}
    return {
        "symbol": symbol,
        "standardCommission": _rates(fees),
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": number(ZERO),
        },
    }


def order_commission(fees: FeeSchedule) -> Json:
    """Return the rates that one order would pay: its side is known, so they are not told by it."""
    of_symbol = commission("", fees)
    rates = {
        f"{kind}CommissionForOrder": {who: of_symbol[f"{kind}Commission"][who] for who in _ROLES}
        for kind in ("standard", "special", "tax")
    }
    return {**rates, "discount": of_symbol["discount"]}


def execution_report(
    placed: PlacedOrder,
    instrument: Instrument,
    change: OrderChange,
    execution: Execution | None,
    ids: "ReportIds",
) -> Json:
    """Return the user stream's word about an order."""
    ticket = placed.ticket
    report = {
        "e": "executionReport",
        "E": ids.now_ms,
        "s": instrument.exchange_symbol,
        "c": ids.cancel_client_id or ticket.client_order_id,
        "S": ticket.side.name,
        "o": ticket.kind.value,
        "f": ticket.time_in_force.name,
        "q": number(placed.quantity),
        "p": number(ticket.price or ZERO),
        "P": number(ticket.stop_price or ZERO),
        "F": number(ZERO),
        "g": -1,
        "C": ticket.client_order_id if ids.cancel_client_id else "",
        "x": _execution_type(placed, change),
        "X": status(placed),
        "r": "NONE",
        "i": placed.order_id,
        "l": number(execution.quantity if execution else ZERO),
        "z": number(placed.executed),
        "L": number(execution.price if execution else ZERO),
        "n": number(execution.fee.amount) if execution else "0",
        "N": execution.fee.asset if execution else None,
        "T": ids.now_ms,
        "t": execution.trade_id if execution else -1,
        "I": ids.execution_id,
        "w": placed.is_working and placed.is_open,
        "m": bool(execution and execution.is_maker),
        "M": execution is not None,
        "O": placed.created_ms,
        "Z": number(placed.notional),
        "Y": number(execution.notional if execution else ZERO),
        "Q": number(ticket.quote_quantity or ZERO),
        "V": ticket.self_trade.value,
    }
    if placed.working_ms is not None:
        report["W"] = placed.working_ms
    return report


class ReportIds:
    """When a report is made, its number, and the id of the cancel that caused it, if one did."""

    __slots__ = ("cancel_client_id", "execution_id", "now_ms")

    def __init__(self, now_ms: int, execution_id: int, cancel_client_id: str = "") -> None:
        self.now_ms = now_ms
        self.execution_id = execution_id
        self.cancel_client_id = cancel_client_id


def account_position(held: Account, assets: Iterable[str], now_ms: int) -> Json:
    """Return the user stream's word about balances."""
    return {
        "e": "outboundAccountPosition",
        "E": now_ms,
        "u": now_ms,
        "B": [
            {"a": asset, "f": number(held.free(asset)), "l": number(held.locked(asset))}
            for asset in assets
        ],
    }


def balance_update(asset: str, delta: Decimal, now_ms: int) -> Json:
    """Return the user stream's word about a deposit or a withdrawal."""
    return {"e": "balanceUpdate", "E": now_ms, "a": asset, "d": number(delta), "T": now_ms}


def _execution_type(placed: PlacedOrder, change: OrderChange) -> str:
    if change is OrderChange.EXPIRED and placed.end_reason is EndReason.SELF_TRADE:
        return "TRADE_PREVENTION"
    return _EXECUTION_TYPES[change]


def _rates(fees: FeeSchedule) -> Json:
    return {
        "maker": number(fees.maker),
        "taker": number(fees.taker),
        "buyer": number(ZERO),
        "seller": number(ZERO),
    }
