"""A past that is not there is named with its reason, and holds up the others for a minute."""

from dataclasses import dataclass, field

from trading.domain.time import Timeframe
from trading.scanner.desk import Missing
from trading.scanner.engine.awaited import Awaited, Watch

ADA = "ADA/USDT"
HOUR, DAY, WEEK = Timeframe("1h"), Timeframe("1d"), Timeframe("1w")
ALL = (HOUR, DAY, WEEK)


@dataclass
class Pasts:
    """What is there, what has failed, and what the exchange lacks."""

    known: set[Timeframe] = field(default_factory=set)
    failed: dict[Timeframe, tuple[str, float]] = field(default_factory=dict)
    lacking: set[Timeframe] = field(default_factory=set)

    @property
    def awaited(self) -> Awaited:
        return Awaited(
            lambda _symbol, one: one in self.known,
            lambda _symbol, one: self.failed.get(one),
            lambda one: None if one in self.lacking else one,
            patience_s=60.0,
        )


def test_each_length_that_is_missing_says_why() -> None:
    pasts = Pasts({HOUR}, {DAY: ("the exchange does not answer", 8.0)}, {WEEK})
    assert pasts.awaited.missing(ADA, ALL) == (
        Missing(DAY, "the exchange does not answer", 8.0),
        Missing(WEEK, "the exchange has none"),
    )
    assert Pasts().awaited.missing(ADA, (HOUR,)) == (Missing(HOUR, "its past is being read"),)


def test_what_is_on_its_way_is_waited_for_and_what_failed_or_never_comes_is_not() -> None:
    pasts = Pasts({HOUR})
    assert pasts.awaited.comes(ADA, ALL)
    pasts.failed[DAY] = ("the exchange does not answer", 8.0)
    assert pasts.awaited.comes(ADA, ALL)
    pasts.lacking.add(WEEK)
    assert not pasts.awaited.comes(ADA, ALL)


def test_a_symbol_is_settled_when_nothing_comes_or_after_a_minute() -> None:
    watch = Watch(ALL, since_s=100.0)
    waiting = Pasts({HOUR}).awaited
    assert [waiting.is_settled(ADA, watch, now_s) for now_s in (100.0, 160.0, 160.1)] == [
        *(False, False, True)
    ]
    assert Pasts(set(ALL)).awaited.is_settled(ADA, watch, 100.0)
