"""A tracker's card and its row of the list say what protects and what does not."""

from dataclasses import replace
from typing import Any

import pytest

from bot.telegram.render.text import signed
from bot.telegram.render.tracker_questions import proposal_lines
from bot.telegram.render.trackers import tracker_card, trackers_card, why_card
from tests.unit.trading.trackers.make import BTC, armed, d, line
from trading.desk import TrackerProposal
from trading.domain.order import Side
from trading.domain.time import Timeframe
from trading.domain.tracker import (
    Confirm,
    ConfirmKind,
    NextLevel,
    Tracker,
    TrackerKind,
    TrackerState,
)
from trading.overview import Crossing, Signature, TrackerView


def _stop(**fields: Any) -> Tracker:
    return armed(TrackerKind.STOP, 60000, level=58000, **fields)


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


@pytest.mark.parametrize(
    ("confirm", "words"),
    [
        (Confirm(ConfirmKind.TICKS, 3), "1 of 3 ticks"),
        (Confirm(ConfirmKind.RUN, 4), "2 of 4 moves in a row"),
        (Confirm(ConfirmKind.SECONDS, 30), "6 of 30 s"),
        (Confirm(ConfirmKind.CLOSE, timeframe=Timeframe("15m")), "waits for the 15m close"),
    ],
)
def test_a_crossed_level_that_waits_for_more_is_not_called_watching(
    confirm: Confirm, words: str
) -> None:
    view = TrackerView(
        *(_stop(confirm=confirm), BTC, d(57900), 0.1, d(58000), d("0.0017")),
        *(True, d(-500), None),
        crossing=Crossing(1, 2, 6.2),
    )
    card = " ".join(tracker_card(view).text.split())
    assert f"Crossed 58,000.00: {words}" in card
    assert "watching" not in card
    assert "Fires at" not in card
    row = " ".join(trackers_card([view]).text.split())
    assert "⏳ crossed" in row
    assert f"crossed 58,000.00: {words}" in row
    assert "has to reach" not in (why := " ".join(why_card(view).text.split()))
    assert f"crossed 58,000.00: {words}" in why


def test_lines_are_named_once() -> None:
    support, resistance = line(55000, 56000), line(66000, 65000)
    tracker = armed(TrackerKind.LINES, 60000, support=support, resistance=resistance, trail="0.02")
    view = TrackerView(tracker, BTC, d(60000), 0.1, d(65000), d("0.08"), False, None, None)
    lines = tracker_card(view).text.splitlines()
    assert any(shown.startswith("lines 2026-") for shown in lines)
    assert "lines: lines" not in " ".join(lines)
