"""Signed REST endpoints: orders, fills, balances and what the key may do."""

from collections.abc import Mapping
from typing import Any

from trading.domain.order import OrderStatus
from trading.sim.binance import filters, messages
from trading.sim.binance.codes import ApiError, known, missing, not_taken
from trading.sim.binance.tickets import Params, read_int, read_limit, read_own_period, read_ticket
from trading.sim.binance.venue import Call, Venue
from trading.sim.exchange import OrderRefusal, OrderRefused
from trading.sim.orders import OrderTicket, PlacedOrder
from trading.sim.world import Market

_REFUSALS = {
    OrderRefusal.INSUFFICIENT_BALANCE: "Account has insufficient balance for requested action.",
    OrderRefusal.DUPLICATE_ID: "Duplicate order sent.",
    OrderRefusal.WOULD_TAKE: "Order would immediately match and take.",
    OrderRefusal.WOULD_TRIGGER: "Stop price would trigger immediately.",
    OrderRefusal.MARKET_CLOSED: "Market is closed.",
}
_ANSWERS = {
    "ACK": messages.order_ack,
    "RESULT": messages.order_result,
    "FULL": messages.order_full,
}
_TEST_PARAMS = {"computeCommissionRates": ""}
_REPLACE_PARAMS = {
    "cancelReplaceMode": "",
    "cancelNewClientOrderId": "",
    "cancelOrigClientOrderId": "",
    "cancelOrderId": "",
    "cancelRestrictions": "",
    "orderRateLimitExceededMode": "",
}


def account(venue: Venue, call: Call) -> Any:
    """GET account."""
    exchange = venue.exchange
    shown = messages.account(
        exchange.account, exchange.fees, venue.permissions, venue.uid, call.now_ms
    )
    if call.params.get("omitZeroBalances") == "true":
        shown["balances"] = [b for b in shown["balances"] if float(b["free"]) or float(b["locked"])]
    return shown


def commission(venue: Venue, call: Call) -> Any:
    """GET account/commission."""
    market = venue.market(call.params)
    return messages.commission(market.instrument.exchange_symbol, venue.exchange.fees)


def new_order(venue: Venue, call: Call) -> Any:
    """POST order."""
    market, ticket = _checked_ticket(venue, call, {})
    answer = _answer_form(call.params, ticket)
    order = place(venue, market, ticket, call)
    return answer(order, market.instrument)


def test_order(venue: Venue, call: Call) -> Any:
    """POST order/test: all checks that need no matching engine, and the rates if asked for."""
    _checked_ticket(venue, call, _TEST_PARAMS)
    if call.params.get("computeCommissionRates") == "true":
        return messages.order_commission(venue.exchange.fees)
    return {}


def get_order(venue: Venue, call: Call) -> Any:
    """GET order, by either id."""
    market = venue.market(call.params)
    order = _find(venue, market, call, "orderId", "origClientOrderId")
    if order is None or venue.is_hidden(order.order_id, call.now_ms):
        raise known(-2013)
    return messages.order(order, market.instrument)


def cancel_order(venue: Venue, call: Call) -> Any:
    """DELETE order, by either id."""
    market = venue.market(call.params)
    order = _find(venue, market, call, "orderId", "origClientOrderId", only_open=True)
    return _cancel(venue, market, order, call, call.params.get("newClientOrderId", ""))


def replace_order(venue: Venue, call: Call) -> Any:
    """POST order/cancelReplace: cancel, then place, each with its own outcome."""
    mode = call.params.get("cancelReplaceMode", "")
    if not mode:
        raise missing("cancelReplaceMode")
    if mode not in {"STOP_ON_FAILURE", "ALLOW_FAILURE"}:
        raise ApiError(-1130, "Data sent for parameter 'cancelReplaceMode' is not valid.")
    if not call.params.get("cancelOrderId") and not call.params.get("cancelOrigClientOrderId"):
        raise _no_id("cancelOrderId", "cancelOrigClientOrderId")
    market, ticket = _checked_ticket(venue, call, _REPLACE_PARAMS)
    form = _answer_form(call.params, ticket)
    canceled, cancel_answer = _attempt(lambda: _cancel_first(venue, market, call))
    if not canceled and mode == "STOP_ON_FAILURE":
        placed, new_answer = None, None
    else:
        placed, new_answer = _attempt(
            lambda: form(place(venue, market, ticket, call), market.instrument)
        )
    outcome = {
        "cancelResult": "SUCCESS" if canceled else "FAILURE",
        "newOrderResult": {True: "SUCCESS", False: "FAILURE", None: "NOT_ATTEMPTED"}[placed],
        "cancelResponse": cancel_answer,
        "newOrderResponse": new_answer,
    }
    if canceled and placed:
        return outcome
    error = known(-2021 if canceled or placed else -2022)
    raise ApiError(error.code, error.message, error.status, outcome)


def open_orders(venue: Venue, call: Call) -> Any:
    """GET openOrders, of one symbol or all."""
    symbol = venue.market(call.params).symbol if call.params.get("symbol") else None
    return [
        _shown(venue, order)
        for order in venue.exchange.open_orders(symbol)
        if not venue.is_hidden(order.order_id, call.now_ms)
    ]


def cancel_open_orders(venue: Venue, call: Call) -> Any:
    """DELETE openOrders of one symbol."""
    market = venue.market(call.params)
    found = venue.exchange.open_orders(market.symbol)
    if not found:
        raise known(-2011)
    return [_cancel(venue, market, order, call, "") for order in found]


def all_orders(venue: Venue, call: Call) -> Any:
    """GET allOrders of one symbol, from an id or a time, else the newest."""
    market = venue.market(call.params)
    limit = read_limit(call.params, 500, 1_000)
    from_id = read_int(call.params, "orderId")
    start_ms, end_ms = read_own_period(call.params)
    found = [
        order
        for order in venue.exchange.orders()
        if order.ticket.symbol == market.symbol
        and (from_id is None or order.order_id >= from_id)
        and (start_ms is None or order.created_ms >= start_ms)
        and (end_ms is None or order.created_ms <= end_ms)
        and not venue.is_hidden(order.order_id, call.now_ms)
    ]
    is_from_start = from_id is not None or start_ms is not None
    return [_shown(venue, o) for o in (found[:limit] if is_from_start else found[-limit:])]


def my_trades(venue: Venue, call: Call) -> Any:
    """GET myTrades of one symbol, from an id or a time, else the newest."""
    market = venue.market(call.params)
    limit = read_limit(call.params, 500, 1_000)
    from_id, order_id = read_int(call.params, "fromId"), read_int(call.params, "orderId")
    start_ms, end_ms = read_own_period(call.params)
    found = [
        execution
        for execution in venue.exchange.executions(market.symbol)
        if (from_id is None or execution.trade_id >= from_id)
        and (order_id is None or execution.order_id == order_id)
        and (start_ms is None or execution.at_ms >= start_ms)
        and (end_ms is None or execution.at_ms <= end_ms)
        and not venue.is_hidden(execution.order_id, call.now_ms)
    ]
    is_from_start = from_id is not None or start_ms is not None
    chosen = found[:limit] if is_from_start else found[-limit:]
    return [messages.my_trade(execution, market.instrument) for execution in chosen]


def api_restrictions(venue: Venue, call: Call) -> Any:
    """GET account/apiRestrictions."""
    return {"createTime": 1_700_000_000_000, **venue.permissions}


def delist_schedule(venue: Venue, call: Call) -> Any:
    """GET spot/delist-schedule."""
    del call
    return [
        {"delistTime": at_ms, "symbols": [name]} for name, at_ms in sorted(venue.delistings.items())
    ]


def trade_fee(venue: Venue, call: Call) -> Any:
    """GET asset/tradeFee."""
    fees = venue.exchange.fees
    markets = (
        [venue.market(call.params)]
        if call.params.get("symbol")
        else list(venue.world.markets.values())
    )
    return [
        {
            "symbol": market.instrument.exchange_symbol,
            "makerCommission": str(fees.maker),
            "takerCommission": str(fees.taker),
        }
        for market in markets
    ]


def deposits(venue: Venue, call: Call) -> Any:
    """GET capital/deposit/hisrec."""
    return [
        {
            "id": str(transfer.number),
            "amount": filters.number(transfer.delta),
            "coin": transfer.asset,
            "network": transfer.asset,
            "status": 1,
            "address": "simulated",
            "txId": f"simulated-{transfer.number}",
            "insertTime": transfer.at_ms,
            "completeTime": transfer.at_ms,
        }
        for transfer in venue.transfers
        if transfer.delta > 0
    ]


def withdrawals(venue: Venue, call: Call) -> Any:
    """GET capital/withdraw/history."""
    return [
        {
            "id": str(transfer.number),
            "amount": filters.number(-transfer.delta),
            "transactionFee": "0",
            "coin": transfer.asset,
            "network": transfer.asset,
            "status": 6,
            "address": "simulated",
            "txId": f"simulated-{transfer.number}",
            "applyTime": transfer.at_ms,
            "completeTime": transfer.at_ms,
        }
        for transfer in venue.transfers
        if transfer.delta < 0
    ]


def nothing(venue: Venue, call: Call) -> Any:
    """Lists that a spot account with one key does not need to fill."""
    return []


def place(venue: Venue, market: Market, ticket: OrderTicket, call: Call) -> PlacedOrder:
    """Hand an order to the engine; refusals become Binance's -2010."""
    venue.world.fresh_book(market.symbol, call.now_ms)
    effects = call.effects
    try:
        order = venue.exchange.place(ticket, call.now_ms, effects.match_after_ms)
    except OrderRefused as error:
        raise not_taken(_REFUSALS[error.refusal]) from error
    venue.hide(order, effects, call.now_ms)
    return order


def _checked_ticket(
    venue: Venue, call: Call, extra: Mapping[str, str]
) -> tuple[Market, OrderTicket]:
    market = venue.market(call.params)
    if not venue.permissions["enableSpotAndMarginTrading"]:
        raise known(-2015)
    ticket = read_ticket(call.params, market.symbol, venue.new_client_id(), extra)
    last_price = venue.exchange.books[market.symbol].last_price or market.price
    kinds = [order.ticket.kind for order in venue.exchange.open_orders(market.symbol)]
    filters.check(market.instrument, ticket, last_price, kinds)
    return market, ticket


def _answer_form(params: Params, ticket: OrderTicket) -> Any:
    usual = "ACK" if ticket.kind.is_conditional else "FULL"
    name = params.get("newOrderRespType") or usual
    if name not in _ANSWERS:
        raise ApiError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    return _ANSWERS[name]


def _find(
    venue: Venue,
    market: Market,
    call: Call,
    id_name: str,
    client_id_name: str,
    only_open: bool = False,
) -> PlacedOrder | None:
    order_id = read_int(call.params, id_name)
    client_id = call.params.get(client_id_name, "")
    if order_id is None and not client_id:
        raise _no_id(id_name, client_id_name)
    exchange = venue.exchange
    order = (
        exchange.latest_by_client_id(market.symbol, client_id)
        if order_id is None
        else exchange.order(order_id)
    )
    if order is None or order.ticket.symbol != market.symbol:
        return None
    return order if order.is_open or not only_open else None


def _no_id(id_name: str, client_id_name: str) -> ApiError:
    return ApiError(
        -1102, f"Param '{client_id_name}' or '{id_name}' must be sent, but both were empty/null!"
    )


def _cancel(
    venue: Venue, market: Market, order: PlacedOrder | None, call: Call, cancel_id: str
) -> Any:
    if order is None or venue.is_absent(order.order_id, call.now_ms):
        raise known(-2011)
    if order.status is OrderStatus.PARTIALLY_FILLED and (
        call.params.get("cancelRestrictions") == "ONLY_NEW"
    ):
        raise known(-2011)
    cancel_id = cancel_id or venue.new_client_id()
    venue.cancel_ids[order.order_id] = cancel_id
    venue.exchange.cancel(order.order_id, call.now_ms)
    return messages.canceled(order, market.instrument, cancel_id)


def _cancel_first(venue: Venue, market: Market, call: Call) -> Any:
    order = _find(venue, market, call, "cancelOrderId", "cancelOrigClientOrderId", only_open=True)
    return _cancel(venue, market, order, call, call.params.get("cancelNewClientOrderId", ""))


def _attempt(action: Any) -> tuple[bool, Any]:
    try:
        return True, action()
    except ApiError as error:
        return False, error.body()


def _shown(venue: Venue, order: PlacedOrder) -> Any:
    instrument = venue.exchange.instruments[order.ticket.symbol]
    return messages.order(order, instrument)
