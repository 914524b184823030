"""Phase before status, status before code; what no table lists is unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.order import SendEvidence, SendPhase
from trading.execution.classify import Action, Cause, Verdict, classify

ANSWERED = SendPhase.ANSWERED


def said(code: int | None, message: str = "", status: int = 400) -> SendEvidence:
    return SendEvidence(ANSWERED, http_status=status, code=code, message=message)


# Binance spot's documented codes: each with what it means for a new order.
CODES = {
    **dict.fromkeys([-1000, -1001, -1006, -1007, -1008, -1016, -1099], Verdict.UNKNOWN),
    **dict.fromkeys([-1003, -1015, -1034], Verdict.RATE_LIMITED),
    **dict.fromkeys([-1002, -1010, -1013, -1014, -1020, -1021, -1022], Verdict.REJECTED),
    **dict.fromkeys(
        [-1100, -1101, -1102, -1103, -1104, -1105, -1106, -1108, -1111, -1112, -1114, -1115],
        Verdict.REJECTED,
    ),
    **dict.fromkeys(
        [-1116, -1117, -1118, -1119, -1120, -1121, -1125, -1127, -1128, -1130, -1131, -1134],
        Verdict.REJECTED,
    ),
    **dict.fromkeys([-1135, -1145, -1151, -1165, -1196, -2014, -2015], Verdict.REJECTED),
    **dict.fromkeys([-4116, -4111], Verdict.LIVE_EVIDENCE),
    **dict.fromkeys([-2010, -2011, -2013, -2016, -2021, -2022, -2026], Verdict.UNKNOWN),
    **dict.fromkeys([0, 1, -999, -3000, -9999], Verdict.UNKNOWN),
    None: Verdict.UNKNOWN,
}


@pytest.mark.parametrize(("code", "verdict"), list(CODES.items()))
def test_every_documented_code_has_its_verdict(code: int | None, verdict: Verdict) -> None:
    assert classify(said(code)).verdict is verdict


@pytest.mark.parametrize(("code", "verdict"), list(CODES.items()))
def test_a_refused_cancel_says_nothing_about_the_order(code: int | None, verdict: Verdict) -> None:
    found = classify(said(code), Action.CANCEL).verdict
    expected = Verdict.RATE_LIMITED if verdict is Verdict.RATE_LIMITED else Verdict.UNKNOWN
    assert found is expected


@pytest.mark.parametrize("code", list(CODES))
def test_a_server_error_is_unknown_whatever_its_body_says(code: int | None) -> None:
    for status in (500, 502, 503, 504):
        assert classify(said(code, status=status)).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("code", "message", "cause"),
    [
        (-2010, "Account has insufficient balance for requested action.", Cause.BALANCE),
        (-2010, "Market is closed.", Cause.MARKET_CLOSED),
        (-2010, "This symbol is CANCEL_ONLY", Cause.MARKET_CLOSED),
        (-2010, "Order would immediately match and take.", Cause.OTHER),
        (-2010, "This action is disabled on this account.", Cause.AUTH),
        (-2010, "Order book liquidity is less than LOT_SIZE filter minimum.", Cause.PRICE_BAND),
        (-1013, "Filter failure: LOT_SIZE", Cause.FILTER),
        (-1013, "Filter failure: NOTIONAL", Cause.FILTER),
        (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE", Cause.PRICE_BAND),
        (-1013, "Market is closed.", Cause.MARKET_CLOSED),
        (-1013, "something new", Cause.FILTER),
        (-1021, "Timestamp for this request is outside of the recvWindow.", Cause.CLOCK),
        (-2015, "Invalid API-key, IP, or permissions for action.", Cause.AUTH),
        (-1121, "Invalid symbol.", Cause.OTHER),
    ],
)
def test_a_refusal_says_what_to_correct(code: int, message: str, cause: Cause) -> None:
    found = classify(said(code, message))
    assert (found.verdict, found.cause) == (Verdict.REJECTED, cause)


def test_duplicate_order_sent_is_evidence_of_life() -> None:
    assert classify(said(-2010, "Duplicate order sent.")).verdict is Verdict.LIVE_EVIDENCE


def test_an_engine_refusal_in_unknown_words_is_unknown() -> None:
    assert classify(said(-2010, "a reason of next year")).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("status", [418, 429])
def test_a_rate_limit_is_told_by_its_status(status: int) -> None:
    found = classify(SendEvidence(ANSWERED, http_status=status, retry_after_s=30))
    assert found.verdict is Verdict.RATE_LIMITED


@pytest.mark.parametrize("status", [403, 408])
def test_a_page_of_a_firewall_proves_nothing(status: int) -> None:
    assert classify(said(-2010, "insufficient balance", status)).verdict is Verdict.UNKNOWN


def test_a_success_without_a_report_is_unknown() -> None:
    assert classify(SendEvidence(ANSWERED, http_status=200)).verdict is Verdict.UNKNOWN


@given(
    st.sampled_from([SendPhase.NOT_SENT, SendPhase.SENT]),
    st.none() | st.integers(100, 599),
    st.none() | st.integers(-9999, 9999),
    st.text(max_size=20),
)
def test_how_far_a_request_got_comes_first(
    phase: SendPhase, status: int | None, code: int | None, message: str
) -> None:
    evidence = SendEvidence(phase, http_status=status, code=code, message=message)
    expected = Verdict.NOT_SENT if phase is SendPhase.NOT_SENT else Verdict.UNKNOWN
    assert classify(evidence).verdict is expected


@given(st.integers(-99_999, 99_999))
def test_an_unlisted_code_is_never_definitive(code: int) -> None:
    listed = set(CODES) | set(range(-1199, -1099))
    if code not in listed:
        assert classify(said(code)).verdict is Verdict.UNKNOWN
