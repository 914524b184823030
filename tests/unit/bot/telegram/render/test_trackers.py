"""The question before a live tracker is loosened shows what changes, and what it costs."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot.telegram.render.text import signed
from bot.telegram.render.trackers import (
    edit_lines,
    proposal_lines,
    spec_lines,
    state_name,
    tracker_card,
    trackers_card,
)
from tests.unit.trading.trackers.make import BTC, armed, d
from trading.desk import EditProposal, TrackerProposal
from trading.domain.order import Side
from trading.domain.time import Timeframe
from trading.domain.tracker import (
    Confirm,
    ConfirmKind,
    NextLevel,
    PriceKind,
    Then,
    ThenKind,
    Tracker,
    TrackerKind,
    TrackerState,
)
from trading.overview import Signature, TrackerView


def _stop(**fields: Any) -> Tracker:
    return armed(TrackerKind.STOP, 60000, level=58000, **fields)


def _lines(before: Tracker, after: Tracker, *worst: Decimal | None) -> list[str]:
    old, new = worst or (d(-1000), d(-1000))
    _, lines = edit_lines(EditProposal(before, after, BTC, True, old, new))
    return [str(line) for line in lines]


@pytest.mark.parametrize(
    ("old", "new", "was", "now"),
    [
        (
            {},
            {"confirm": Confirm(ConfirmKind.TICKS, 3)},
            ", confirm touch",
            ", confirm 3 ticks",
        ),
        ({}, {"then": Then(ThenKind.COOLDOWN)}, ", then once", ", then cooldown"),
        ({"backstop": d(50000)}, {"backstop": None}, ", backstop 50000", ", no backstop"),
        ({}, {"slippage_max": d("0.005")}, ", no slippage bound", ", slippage 0.5%"),
        ({}, {"price_kind": PriceKind.LAST}, ", price decision", ", price last"),
    ],
)
def test_an_option_that_changes_is_shown_as_it_was_and_as_it_will_be(
    old: dict[str, Any], new: dict[str, Any], was: str, now: str
) -> None:
    before = _stop(**old)
    lines = _lines(before, replace(before, spec=replace(before.spec, **new)))
    assert lines[0].startswith("was stop 58000")
    assert lines[0].endswith(was)
    assert lines[2].startswith("new stop 58000")
    assert lines[2].endswith(now)


def test_an_option_that_stays_is_not_repeated() -> None:
    before = _stop(confirm=Confirm(ConfirmKind.TICKS, 3))
    after = replace(before, stop_price=d(57000))
    assert not any("ticks" in line for line in _lines(before, after))


def test_a_smaller_slice_says_how_much_loses_its_protection() -> None:
    before = _stop()
    after = replace(before, quantity=d("0.2"))
    lines = _lines(before, after, d(-1000), d(-400))
    assert lines[-1] == "⚠️ 0.3 BTC will NOT be protected"


def test_a_smaller_slice_that_protects_nothing_yet_is_not_watched() -> None:
    before = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02")
    lines = _lines(before, replace(before, quantity=d("0.2")), None, None)
    assert lines[1] == lines[3] == "  ⚠️ NOT PROTECTED if it falls"
    assert lines[-1] == "⚠️ 0.3 BTC will not be watched"


def test_a_buy_has_no_worst_case_and_is_not_called_unprotected() -> None:
    before = armed(TrackerKind.DIP, 60000, level=55000, trail="0.01")
    after = replace(before, spec=replace(before.spec, then=Then(ThenKind.COOLDOWN)))
    was, new = _lines(before, after, None, None)
    assert (was[-9:], new[-13:]) == ("then once", "then cooldown")


def test_a_card_names_the_price_that_decides_when_it_is_not_the_usual_one() -> None:
    assert spec_lines(_stop(price_kind=PriceKind.BID)) == ["Decides on the bid price"]
    assert spec_lines(_stop()) == []


def test_a_confirmation_that_waits_says_past_which_loss_it_does_not() -> None:
    close = Confirm(ConfirmKind.CLOSE, timeframe=Timeframe.parse("15m"))
    assert spec_lines(_stop(confirm=close)) == ["Confirm close 15m max 1%"]
    trailing = armed(TrackerKind.TRAIL, 60000, trail="0.025", confirm=close)
    assert spec_lines(trailing) == ["Confirm close 15m max 2.5%"]
    narrow = replace(close, loss_max=d("0.005"))
    assert spec_lines(_stop(confirm=narrow)) == ["Confirm close 15m max 0.5%"]


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (Signature(300, 0.001, 0.004, 0.1, 3, 0.25), "55% of moves up, last 3 up"),
        (Signature(300, 0.001, 0.004, -1.0, -12, 0.25), "0% of moves up, last 12 down"),
        (Signature(300, 0.0, 0.0, 0.0, 0, 0.0), "the price did not move"),
    ],
)
def test_a_card_shows_what_the_last_ticks_look_like(signature: Signature, words: str) -> None:
    tracker = _stop()
    view = TrackerView(
        tracker=tracker,
        instrument=BTC,
        price=d(60000),
        price_age_s=0.1,
        level=d(58000),
        gap=d("-0.03"),
        is_protecting=True,
        worst_case=d(-1000),
        signature=signature,
        next_level=NextLevel.FIRES,
    )
    lines = tracker_card(view).text.splitlines()
    [first] = [place for place, line in enumerate(lines) if line.startswith("Last 300 ticks")]
    assert lines[first + 2] == words


def test_the_card_and_the_question_say_what_the_backstop_bounds_while_umbra_is_down() -> None:
    tracker = _stop(backstop=d(50000))
    view = TrackerView(
        tracker,
        BTC,
        d(60000),
        0.2,
        d(58000),
        d("-0.0333"),
        True,
        d(-1000),
        None,
        worst_case_down=d(-5000),
    )
    said = " ".join(tracker_card(view).text.split())
    assert "worst -1,000.00 USDT before fees" in said
    assert "If Umbra is down: worst -5,000.00 USDT before fees" in said
    without = tracker_card(replace(view, worst_case_down=None)).text
    assert "If Umbra is down" not in " ".join(without.split())

    asked = TrackerProposal(tracker, BTC, d(60000), True, d(-1000), ())
    _, lines = proposal_lines(asked)
    worst = signed(d(-10000) * tracker.quantity)
    assert f"If Umbra is down: worst {worst} USDT before fees" in lines
    buys = replace(tracker, side=Side.BUY, quantity=d(0), quote=d(500))
    _, lines = proposal_lines(replace(asked, tracker=buys))
    assert not any("If Umbra is down" in str(line) for line in lines)


def test_the_level_that_protects_is_named_beside_the_touch() -> None:
    tracker = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02", stop=57000)
    view = TrackerView(
        tracker,
        BTC,
        d(60000),
        0.2,
        d(65000),
        d("0.0833"),
        True,
        d(-1500),
        None,
        next_level=NextLevel.TOUCH,
        hard_stop=d(57000),
        hard_stop_gap=d("-0.05"),
    )
    for card in (tracker_card(view), trackers_card([view])):
        said = " ".join(card.text.lower().split())
        assert "touch at 65,000.00" in said
        assert "hard stop 57,000.00 (-5%)" in said
    # Where it is what fires next, it stands there once.
    alone = replace(view, level=d(57000), next_level=NextLevel.FIRES)
    assert trackers_card([alone]).text.count("57,000.00") == 1


@pytest.mark.parametrize(
    ("tracker", "word"),
    [
        (armed(TrackerKind.STOP, 60000, level=58000), "👀 watching"),
        (armed(TrackerKind.BREAKOUT, 60000, level=66000), "👀 watching"),
        (armed(TrackerKind.STOP, 60000, level=58000, trail="0.02"), "🎯 trailing"),
        (armed(TrackerKind.TRAIL, 60000, trail="0.02"), "🎯 trailing"),
    ],
)
def test_only_what_follows_the_price_is_called_trailing(tracker: Tracker, word: str) -> None:
    assert state_name(tracker) == word


def test_without_its_backstop_it_is_said_that_the_order_on_the_exchange_goes() -> None:
    before = _stop(backstop=d(50000))
    gone = "⚠️ Its order on the exchange is cancelled: while I am down, nothing sells"
    assert gone in _lines(before, _stop())
    assert gone not in _lines(before, _stop(backstop=d(49000)))
    assert gone not in _lines(_stop(), _stop())


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ({"is_held": True}, "⚠️ UNPROTECTED: stops are held"),
        ({"is_blind": True}, "⚠️ CANNOT SELL NOW"),
    ],
)
def test_a_stop_that_cannot_sell_shows_its_backstop_and_the_worst_case_of_that(
    why: dict[str, bool], said: str
) -> None:
    view = TrackerView(
        tracker=_stop(backstop=d(50000)),
        instrument=BTC,
        price=d(60000),
        price_age_s=1.0,
        level=d(58000),
        gap=d("-0.0333"),
        is_protecting=True,
        worst_case=d(-5000),
        signature=None,
        worst_case_down=d(-5000),
        only_backstop=d(50000),
        **why,
    )
    alone = replace(view, is_protecting=False, worst_case=None, only_backstop=None)
    for with_backstop, without in (
        (tracker_card(view).text, tracker_card(alone).text),
        (trackers_card([view]).text, trackers_card([alone]).text),
    ):
        assert said in with_backstop
        assert "only backstop 50,000.00 sells" in with_backstop
        assert "🛡" not in with_backstop
        assert said in without
        assert "backstop 50,000.00 sells" not in without
    card = tracker_card(view).text
    assert "worst -5,000.00 USDT before fees" in card
    assert "If Umbra is down" not in card
    assert ("HELD, would fire at 58,000.00" in card) is ("is_held" in why)


def test_a_blocked_exit_says_that_only_its_backstop_is_left() -> None:
    blocked = replace(_stop(backstop=d(50000)), state=TrackerState.BLOCKED)
    view = TrackerView(
        blocked, BTC, d(60000), 1.0, None, None, True, d(-5000), None, only_backstop=d(50000)
    )
    assert "only backstop 50,000.00 sells" in tracker_card(view).text
    assert "only backstop 50,000.00 sells" in trackers_card([view]).text


def test_the_worst_case_with_all_the_slippage_that_is_allowed_stands_beside_the_worst_case() -> (
    None
):
    tracker = _stop(slippage_max=d("0.5"), backstop=d(50000))
    proposal = TrackerProposal(tracker, BTC, d(60000), True, d(-2000) * tracker.quantity, ())
    _, lines = proposal_lines(proposal)
    # Sold at 29,000 instead of at 58,000.
    told = f"  slipping 50%: worst {signed(d(-31000) * tracker.quantity)}"
    assert told in lines
    view = TrackerView(
        tracker, BTC, d(60000), 1.0, d(58000), None, True, d(-2000) * tracker.quantity, None
    )
    assert told.strip() in tracker_card(view).text
    unbound = replace(proposal, tracker=_stop())
    assert not [line for line in proposal_lines(unbound)[1] if "slipping" in str(line)]
