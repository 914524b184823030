"""What a person types, as commands of the trading core: exactly, or refused with an example."""

from collections.abc import Callable
from decimal import Decimal

from bot import modes
from bot.telegram import examples
from bot.telegram import words as reading
from bot.telegram.grammar_tracker import (
    SHARE_LEAST,
    read_amount,
    read_backstop,
    read_confirm,
    read_distance,
    read_level,
    read_price_kind,
    read_slippage,
    read_spec,
    read_then,
)
from bot.telegram.words import Words
from trading.domain.commands import (
    AbortIntent,
    AbortOrders,
    AcknowledgeAlerts,
    ArmTracker,
    CancelTracker,
    CloseAll,
    ClosePosition,
    Command,
    EditTracker,
    ExitNow,
    Panic,
    PauseTracker,
    PlaceOrder,
    ResumeTracker,
    SetTradingMode,
)
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.order import Side
from trading.domain.position import TradingMode

FindInstrument = Callable[[str], Instrument]

TRACK_EXAMPLE = "/track BTC/USDT stop 58000 all"
TRACKER_EXAMPLE = "/tracker 3 stop 59000"
_TRADE_EXAMPLE = "/trade BTC/USDT buy 100 USDT"
_ID_MAX = 999_999_999
_TRACKER_VERBS: dict[str, Callable[[int], Command]] = {
    "pause": PauseTracker,
    "resume": ResumeTracker,
    "cancel": CancelTracker,
    "exit": ExitNow,
}


def parse(text: str, instrument: FindInstrument) -> Command:
    """Read a whole acting command such as `/track BTC/USDT stop 58000 all`.

    `instrument` matches symbols and raises Refused; whatever is wrong raises Refused, only that.
    """
    name, rest = reading.split(text)
    reader = _READERS.get(name)
    if reader is None:
        raise Refused(f"/{name[:24]} is not a command that acts", example="/help")
    return reader(rest, instrument)


def _read_track(rest: list[str], instrument: FindInstrument) -> Command:
    found = _take_instrument(Words(rest, TRACK_EXAMPLE), instrument)

    def read(line: list[str]) -> Command:
        words = Words(line, TRACK_EXAMPLE)
        words.take("the symbol")
        return ArmTracker(read_spec(words, found))

    try:
        return read(rest)
    except Refused as error:
        example = examples.of_track(rest, found, read, error.wrong) or error.example
        raise Refused(str(error), example=example) from error


def _take_instrument(words: Words, instrument: FindInstrument) -> Instrument:
    word = words.take("the symbol")
    try:
        found = instrument(word)
    except Refused as error:
        example = words.example_with(error.example) if error.example else words.example
        raise Refused(str(error), example, wrong=error.wrong, near=error.near) from error
    # A slip behind it leads to no other coin.
    words.example = words.example_with(found.symbol)
    return found


def _read_tracker(rest: list[str], _instrument: FindInstrument) -> Command:
    try:
        return _read_change_of(rest)
    except Refused as error:
        example = examples.of_tracker(rest, _read_change_of, error.wrong) or error.example
        raise Refused(str(error), example=example) from error


def _read_change_of(rest: list[str]) -> Command:
    words = Words(rest, TRACKER_EXAMPLE)
    tracker_id = words.whole("the tracker's number", 1, _ID_MAX)
    verb = words.accept(*_TRACKER_VERBS)
    if verb is not None:
        words.finish()
        return _TRACKER_VERBS[verb](tracker_id)
    return _read_edit(words, tracker_id)


def _read_edit(words: Words, tracker_id: int) -> Command:
    changes: dict[str, object] = {}
    seen: set[str] = set()
    while not words.is_done or not changes:
        verb = words.accept(*_CHANGES)
        if verb is None:
            names = ", ".join(_CHANGES)
            word = words.take(f"the change ({names}, pause, resume or cancel)")
            raise words.refuse(
                f"the change should be {names}, pause, resume or cancel, was {reading.shown(word)}"
            )
        if verb in seen:
            raise words.refuse(f"{verb} should be said once, was said twice")
        seen.add(verb)
        changes |= _CHANGES[verb](words)
    return EditTracker(tracker_id, **changes)  # type: ignore[arg-type]


def _read_new_stop(words: Words) -> dict[str, object]:
    if words.accept("off"):
        return {"is_stop_off": True}
    if words.peek().endswith("%"):
        return {"stop_share": words.share("stop", SHARE_LEAST, "99%")}
    return {"stop": read_level(words, "stop")}


def _read_new_backstop(words: Words) -> dict[str, object]:
    if words.accept("off"):
        return {"is_backstop_off": True}
    price, share = read_backstop(words)
    return {"backstop": price, "backstop_share": share}


def _read_new_slippage(words: Words) -> dict[str, object]:
    if words.accept("off"):
        return {"is_slippage_off": True}
    return {"slippage_max": read_slippage(words)}


# A tracker's own symbol is known to the desk, not here: `amount 0.5` and `50%` need no names.
_NO_INSTRUMENT = Instrument(
    symbol="",
    exchange_symbol="",
    base="base",
    quote="quote",
    price_tick=Decimal(1),
    quantity_step=Decimal(1),
    quantity_min=Decimal(1),
    quantity_max=Decimal(1),
    market_quantity_max=Decimal(1),
    notional_min=Decimal(1),
)

# What can be changed on a live tracker, in the words that arm one.
_CHANGES: dict[str, Callable[[Words], dict[str, object]]] = {
    "stop": _read_new_stop,
    "trail": lambda words: {"trail": read_distance(words)},
    "level": lambda words: {"level": read_level(words, "level")},
    "amount": lambda words: {"amount": read_amount(words, _NO_INSTRUMENT)},
    "confirm": lambda words: {"confirm": read_confirm(words)},
    "then": lambda words: {"then": read_then(words)},
    "backstop": _read_new_backstop,
    "slippage": _read_new_slippage,
    "price": lambda words: {"price_kind": read_price_kind(words)},
}


def _read_trade(rest: list[str], instrument: FindInstrument) -> Command:
    words = Words(rest, _TRADE_EXAMPLE)
    found = _take_instrument(words, instrument)
    side = words.accept("buy", "sell")
    if side is None:
        word = words.take("buy or sell")
        raise words.refuse(f"the side should be buy or sell, was {reading.shown(word)}")
    return _finish_order(words, found, Side(side))


def _read_buy(rest: list[str], instrument: FindInstrument) -> Command:
    words = Words(rest, "/buy BTC/USDT 100 USDT")
    return _finish_order(words, _take_instrument(words, instrument), Side.BUY)


def _read_sell(rest: list[str], instrument: FindInstrument) -> Command:
    words = Words(rest, "/sell BTC/USDT 50%")
    return _finish_order(words, _take_instrument(words, instrument), Side.SELL)


def _finish_order(words: Words, instrument: Instrument, side: Side) -> Command:
    amount = read_amount(words, instrument, takes_all=side is Side.SELL)
    limit = words.number("limit") if words.accept("limit") else None
    words.finish()
    return PlaceOrder(instrument.symbol, side, amount, limit)


def _read_close(rest: list[str], instrument: FindInstrument) -> Command:
    words = Words(rest, "/close BTC/USDT 50%")
    try:
        found = _take_instrument(words, instrument)
    except Refused as error:
        if error.near or not rest:
            raise
        # Nobody closes another coin instead: what is held is listed there.
        raise Refused(str(error), example="/positions", wrong=error.wrong) from error
    if words.is_done or words.accept("all"):
        words.finish()
        return ClosePosition(found.symbol)
    share = words.share("the share", SHARE_LEAST, "100%")
    words.finish()
    return ClosePosition(found.symbol, share)


def _read_close_all(rest: list[str], _instrument: FindInstrument) -> Command:
    Words(rest, "/closeall").finish()
    return CloseAll()


def _read_panic(rest: list[str], _instrument: FindInstrument) -> Command:
    words = Words(rest, "/panic")
    everything = words.accept("everything") is not None
    words.finish()
    return Panic(everything)


def _read_halt(rest: list[str], _instrument: FindInstrument) -> Command:
    words = Words(rest, "/halt")
    everything = words.accept("everything") is not None
    words.finish()
    mode = TradingMode.HALTED_EVERYTHING if everything else TradingMode.HALTED
    return SetTradingMode(mode, "halt")


def _read_resume(rest: list[str], _instrument: FindInstrument) -> Command:
    if len(rest) == 1 and (number := rest[0].removeprefix("#")).isdecimal():
        is_one = number.isascii() and len(number) <= 9 and int(number) > 0
        raise Refused(
            f"/resume is for all trading, not for {reading.shown(rest[0])}",
            example=f"/tracker {int(number)} resume" if is_one else "/trackers",
        )
    note = " ".join(rest)
    if len(note) > modes.NOTE_LENGTH_MAX:
        most = modes.NOTE_LENGTH_MAX
        raise Refused(
            f"the reason should have at most {most} characters, had {len(note)}", example="/resume"
        )
    return SetTradingMode(TradingMode.ACTIVE, modes.with_note("resume", note))


def _mode_reader(name: str, mode: TradingMode) -> Callable[[list[str], FindInstrument], Command]:
    def read(rest: list[str], _instrument: FindInstrument) -> Command:
        Words(rest, f"/{name}").finish()
        return SetTradingMode(mode, name)

    return read


def _read_ack(rest: list[str], _instrument: FindInstrument) -> Command:
    words = Words(rest, "/ack")
    alert_id = None if words.is_done else words.take("the alert")
    words.finish()
    return AcknowledgeAlerts(alert_id)


def _read_abort(rest: list[str], instrument: FindInstrument) -> Command:
    if rest and rest[0][0].isalpha():
        words = Words(rest, "/abort BTC/USDT")
        symbol = _take_instrument(words, instrument).symbol
        words.finish()
        return AbortOrders(symbol)
    if not rest:
        said = "what to give up is missing: a tracker's number, or a market"
        raise Refused(said, example="/orders")
    words = Words(rest, "/abort 3")
    tracker_id = words.whole("the tracker's number", 1, _ID_MAX)
    words.finish()
    return AbortIntent(tracker_id)


_READERS: dict[str, Callable[[list[str], FindInstrument], Command]] = {
    "track": _read_track,
    "tracker": _read_tracker,
    "trade": _read_trade,
    "buy": _read_buy,
    "sell": _read_sell,
    "close": _read_close,
    "closeall": _read_close_all,
    "panic": _read_panic,
    "pause": _mode_reader("pause", TradingMode.REDUCING),
    "reduce": _mode_reader("reduce", TradingMode.REDUCING),
    "resume": _read_resume,
    "halt": _read_halt,
    "ack": _read_ack,
    "abort": _read_abort,
}
# Every command that `parse` reads.
ACTING = frozenset(_READERS)
