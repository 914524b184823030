"""Raw stream messages straight into callbacks: nothing is cached, so nothing can wait unseen.

Plain quotes and prints are read from the text of their frame (`translate.frames`); the library's
own reading, and ours of what it has read, is the way of everything else.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trading.domain.errors import Unreachable
from trading.domain.market import MarketTrade, Quote
from trading.domain.order import OrderReport
from trading.domain.position import Balance, Movement
from trading.gateway.client import DirectReader
from trading.gateway.translate import binance as translate
from trading.gateway.translate.frames import Frames
from trading.gateway.translate.values import Unusable
from trading.poison import InHand, Lane, Unmarked
from trading.ports.clock import Clock
from trading.right_of_way import RightOfWay

logger = logging.getLogger(__name__)

# Streams of one subscription; the exchange takes at most five messages a second.
_CHUNK = 200
_BETWEEN_CHUNKS_S = 0.25
_ENDING = "serverShutdown"
_ENDS = frozenset({"eventStreamTerminated", _ENDING})
_PRINTS = frozenset({"trade", "aggTrade"})
# To look a member up on its Enum costs 75 ns, and each frame needs it twice.
_FRAME = Lane.FRAME


class MarketStream:
    """Prints and quotes of some instruments over one connection."""

    def __init__(
        self,
        symbols: Mapping[str, str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        clock: Clock,
        now_ms: Callable[[], int],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        self._symbols = symbols
        self._on_trade = on_trade
        self._on_quote = on_quote
        self._clock = clock
        self._now_ms = now_ms
        self._on_ending = on_ending
        # Where the frame that is being read is marked.
        self.in_hand: InHand = Unmarked()
        self.way = RightOfWay()
        self._frames = Frames(symbols, clock, now_ms)
        self._ended: Callable[[str], None] = _ignore

    def take_frame(self, frame: str) -> bool:
        """Handle one frame if it is a plain quote or print; whether it was."""
        # A callback is loaded before it is called: what hangs on `self` without being a method of
        # its class would be looked for as one, each time anew, for 25 ns and more.
        in_hand, on_quote = self.in_hand, self._on_quote
        if not in_hand.take(_FRAME, frame):
            return True
        fact = self._frames.read(frame)
        if fact is not None:
            try:
                if isinstance(fact, Quote):
                    on_quote(fact)
                else:
                    self._on_trade(fact)
            except Exception:
                logger.exception("message_failed", extra={"stream_event": type(fact).__name__})
        in_hand.put_down(_FRAME)
        return fact is not None

    def take(self, message: Any) -> bool:
        """Handle one message; whether it was ours."""
        said = message.get("data", message) if isinstance(message, dict) else None
        if not isinstance(said, dict):
            return False
        name, event = said.get("s"), said.get("e")
        if not isinstance(event, str | None):
            return False
        if event in _ENDS:
            self._end(str(event))
            return True
        symbol = self._symbols.get(name) if isinstance(name, str) else None
        if symbol is None:
            return False
        if not self.in_hand.take(_FRAME, f'"s":"{name}"'):
            return True
        is_ours = self._take_said(said, symbol, event)
        self.in_hand.put_down(_FRAME)
        return is_ours

    def _take_said(self, said: Mapping[str, Any], symbol: str, event: str | None) -> bool:
        if event in _PRINTS:
            with border("trade"):
                received_s = self._clock.monotonic()
                self._on_trade(translate.streamed_trade(said, symbol, received_s))
        elif event in {None, "bookTicker"} and "b" in said and "a" in said:
            with border("bookTicker"):
                received_s = self._clock.monotonic()
                now_ms = self._now_ms()
                self._on_quote(translate.streamed_quote(said, symbol, now_ms, received_s))
        else:
            return False
        return True

    def _end(self, event: str) -> None:
        if event == _ENDING:
            # It still speaks for a while: long enough for another connection to take over.
            self._on_ending()
        else:
            self._ended(event)

    async def run(self, exchange: Any, url: str, requests: Iterator[int]) -> None:
        """Subscribe, and wait until the connection ends: Unreachable says how."""
        names = [
            f"{each.lower()}@{kind}" for each in self._symbols for kind in ("trade", "bookTicker")
        ]
        client = exchange.client(url)
        DirectReader(client, self.take_frame, self.way)
        waits = await subscribe(exchange, url, names, requests, "market")
        self._ended = lambda why: client.reject(Unreachable(why))
        await until_lost(waits)


class AccountStream:
    """Order reports, balances and transfers of the account over one connection."""

    def __init__(
        self,
        symbol_of: Callable[[str], str | None],
        on_report: Callable[[OrderReport], None],
        on_balance: Callable[[Balance], None],
        on_movement: Callable[[Movement], None],
    ) -> None:
        self.in_hand: InHand = Unmarked()
        self._symbol_of = symbol_of
        self._on_report = on_report
        self._on_balance = on_balance
        self._on_movement = on_movement
        self._ended: Callable[[str], None] = _ignore
        # Answers that are awaited, by the id of the request.
        self._asked: dict[str, asyncio.Future[Any]] = {}
        self._is_subscribed = False

    def take(self, message: Any) -> bool:
        """Handle one message; whether it was ours."""
        if self._answers(message):
            return True
        said = message.get("event", message) if isinstance(message, dict) else None
        if not isinstance(said, dict):
            return False
        event = said.get("e")
        if not isinstance(event, str):
            return False
        if event == "executionReport":
            if self.in_hand.take(Lane.REPORT, f'"c":"{said.get("c")}"'):
                with border("executionReport"):
                    self._on_report(translate.execution_report(said, self._symbol_of))
                self.in_hand.put_down(Lane.REPORT)
        elif event == "outboundAccountPosition":
            with border("outboundAccountPosition"):
                for balance in translate.streamed_balances(said):
                    self._on_balance(balance)
        elif event == "balanceUpdate":
            with border("balanceUpdate"):
                self._on_movement(translate.streamed_movement(said))
        elif event in _ENDS:
            self._ended(event)
        # No other event is needed. The library, which trips over a balanceUpdate, sees none: its
        # own books are never opened.
        return True

    async def run(self, exchange: Any, url: str) -> None:
        """Subscribe, and wait until the connection ends: Unreachable says how."""
        if wait_s := exchange.ws_dial_delay(url):
            # The library would wait in here, and be taken for connected.
            raise Unreachable(f"no user stream: not dialled again for {wait_s:.0f} s")
        client = exchange.client(url)
        # Nothing is read here; but an error of the library's own reading would end its loop.
        DirectReader(client, lambda _frame: False)
        ends = client.future("umbra:account")
        self._ended = lambda why: client.reject(Unreachable(why))
        try:
            await exchange.ensure_user_data_stream_ws_subscribe_signature("spot")
        except KeyError as error:
            # How the library answers a refused subscription: its own book-keeping trips over it.
            ends.cancel()
            raise Unreachable("the exchange refused the user stream; is the key right?") from error
        except Exception as error:
            ends.cancel()
            raise Unreachable(f"no user stream: {type(error).__name__}: {error}") from error
        self._is_subscribed = True
        await until_lost([ends])

    def _answers(self, message: Any) -> bool:
        asked = self._asked.get(str(message.get("id"))) if isinstance(message, dict) else None
        if asked is not None and not asked.done():
            asked.set_result(message.get("result"))
        return asked is not None

    async def ask(self, exchange: Any, url: str, method: str) -> Any:
        """Ask for something over this connection; the caller's deadline ends the wait."""
        if not self._is_subscribed:
            raise Unreachable("the account's stream is not connected")
        number = str(exchange.request_id(url))
        answered = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            request = {"id": number, "method": method, "params": exchange.sign_params({})}
            await exchange.client(url).send(request)
            return await answered
        finally:
            del self._asked[number]


async def subscribe(
    exchange: Any, url: str, names: Sequence[str], requests: Iterator[int], purpose: str
) -> list[Any]:
    """Ask for streams in chunks over one connection; return what ends when that does."""
    waits: list[Any] = []
    for start in range(0, len(names), _CHUNK):
        if waits:
            await asyncio.sleep(_BETWEEN_CHUNKS_S)
        number = next(requests)
        # Nothing ever resolves this: it ends when the connection does.
        ends = f"umbra:{purpose}:{number}"
        message = {
            "method": "SUBSCRIBE",
            "params": names[start : start + _CHUNK],
            "id": number,
        }
        waits.append(exchange.watch(url, ends, message, ends, {"id": str(number)}))
    return waits


async def until_lost(waits: list[Any]) -> None:
    """Wait until a connection ends; Unreachable says how."""
    try:
        await asyncio.gather(*waits)
    except Unreachable:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # The library cancels its own futures when somebody closes it.
        raise Unreachable("the stream was closed") from None
    except Exception as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
    raise Unreachable("the stream ended")


async def all_until_one_ends(*loops: Any) -> None:
    """Wait for the first of several streams to end, and end the others; always raises."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise Unreachable(f"{type(error).__name__}: {error}") from error
        raise Unreachable("the stream was closed")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def border(event: str) -> Iterator[None]:
    """Let no message, and nobody who takes it, end the reading of a connection."""
    try:
        yield
    except Unusable as error:
        logger.warning("message_unusable", extra={"stream_event": event, "error": str(error)})
    except Exception:
        # An exception here would end the library's receive loop for good, silently.
        logger.exception("message_failed", extra={"stream_event": event})


def _ignore(why: str) -> None:
    del why
