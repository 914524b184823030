"""Phase before status, status before code; what no table lists is unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.catalogue import fired
from tests.unit.trading.execution.documented import (
    CODES_DOCUMENTED,
    CODES_KNOWN_FROM_ELSEWHERE,
    FILTERS_DOCUMENTED,
    FILTERS_KNOWN_FROM_ELSEWHERE,
    STATUSES_DOCUMENTED,
    TEXTS_DOCUMENTED,
    TEXTS_KNOWN_FROM_ELSEWHERE,
)
from trading.domain.order import OrderReport, OrderStatus, SendEvidence, SendPhase, Side
from trading.execution import classify as table
from trading.execution.classify import Action, Cause, Verdict, classify

pytestmark = pytest.mark.uncounted

ANSWERED = SendPhase.ANSWERED
U, R, L = Verdict.UNKNOWN, Verdict.REJECTED, Verdict.RATE_LIMITED
A, N = Verdict.LIVE_EVIDENCE, Verdict.NOT_FOUND
CREATE, CANCEL, QUERY, OTHER = Action.CREATE, Action.CANCEL, Action.QUERY, Action.OTHER
TOLD_BY_TEXT = (-1010, -1013, -2010)


def said(code: int | None, message: str = "", status: int = 400) -> SendEvidence:
    return SendEvidence(ANSWERED, http_status=status, code=code, message=message)


def verdicts(code: int | None, message: str = "", status: int = 400) -> tuple[Verdict, ...]:
    """For create, cancel, query and anything else."""
    return tuple(classify(said(code, message, status), each).verdict for each in Action)


# ------------------------------------------------------------ completeness


def test_every_documented_code_has_a_row_and_no_row_is_of_an_invented_one() -> None:
    assert len(CODES_DOCUMENTED) == len(set(CODES_DOCUMENTED))
    assert set(table.CODES) == set(CODES_DOCUMENTED) | set(CODES_KNOWN_FROM_ELSEWHERE)


def test_every_documented_text_and_filter_has_a_row_and_no_row_is_of_an_invented_one() -> None:
    names = (*FILTERS_DOCUMENTED, *FILTERS_KNOWN_FROM_ELSEWHERE)
    filters = {f"Filter failure: {name}" for name in names}
    texts = {*TEXTS_DOCUMENTED, *TEXTS_KNOWN_FROM_ELSEWHERE, *filters}
    assert len(table.TEXTS) == len(texts)
    for text in texts:
        assert text.replace("`", "").rstrip(".").lower() in table.TEXTS, text


def test_every_documented_status_has_a_row() -> None:
    assert set(STATUSES_DOCUMENTED) <= set(table.STATUSES)


def test_a_listed_text_keeps_its_meaning_in_other_letters_quotes_and_spaces() -> None:
    for text in TEXTS_DOCUMENTED:
        shouted = f"  {text.upper().replace('`', '')}  "
        assert verdicts(-2010, shouted) == verdicts(-2010, text)


# ------------------------------------------------------------ every row

SILENT = (-1000, -1001, -1006, -1007, -1008, -1016, -2011, -2021, -2022, -2026, -2038, -2039)
FRONT = {
    **dict.fromkeys((-1002, -1022, -2014, -2015), Cause.AUTH),
    -1021: Cause.CLOCK,
    **dict.fromkeys((-1014, -1020, -1145, -1158, -1160, -1165, -1166, -1168), Cause.OTHER),
    **dict.fromkeys((*range(-1199, -1195), -1210, -1211, *range(-1225, -1221)), Cause.OTHER),
    **dict.fromkeys((*range(-1106, -1099), -1108, -1111, -1112), Cause.OTHER),
    **dict.fromkeys((*range(-1122, -1113), -1125, -1127, -1128), Cause.OTHER),
    **dict.fromkeys((-1130, -1131, -1134, -1135), Cause.OTHER),
}
PACED = (-1003, -1015, -1034)
OF_OTHER_INTERFACES = (
    *(-1033, -1035, -1139, -1151, -1152, -1153, -1155, -1161),
    *range(-1191, -1168),
    *(-1194, -1220, -1221, -2016, -2035, -2036, -2042),
)
ROWS = {
    **dict.fromkeys(SILENT, (U, U, U, U)),
    **dict.fromkeys(TOLD_BY_TEXT, (U, U, U, U)),
    **dict.fromkeys(FRONT, (R, R, R, R)),
    **dict.fromkeys(PACED, (L, L, L, L)),
    **dict.fromkeys(OF_OTHER_INTERFACES, (U, U, U, R)),
    -2013: (U, U, N, U),
    -4116: (A, U, U, U),
}


def test_the_rows_below_are_all_rows() -> None:
    assert set(ROWS) == set(table.CODES)


@pytest.mark.fault("P12")
@pytest.mark.parametrize("code", sorted(table.CODES))
def test_a_code_means_what_its_row_says(code: int) -> None:
    found = verdicts(code)
    assert found == ROWS[code]
    fired({code} & table.CODES.keys(), words=str(found))


@pytest.mark.parametrize("code", sorted(FRONT))
def test_a_refusal_by_the_front_says_what_to_correct(code: int) -> None:
    for action in Action:
        assert classify(said(code), action).cause is FRONT[code]


UNDECIDED_TEXTS = (
    "Unknown order sent.",
    "Cancel order is invalid. Check origClOrdId and orderId.",
    "Order was not canceled due to cancel restrictions.",
    "Order amend is not supported for this symbol.",
    "Order amend (quantity increase) is not supported.",
    "Order amend (pending OPO order) is not supported.",
    "The requested action would change no state; rejecting",
)
CAUSES = {
    "Account has insufficient balance for requested action.": Cause.BALANCE,
    "Market is closed.": Cause.MARKET_CLOSED,
    "This action is disabled on this account.": Cause.AUTH,
    "This account may not place or cancel orders.": Cause.AUTH,
    "Rest API trading is not enabled.": Cause.AUTH,
    "WebSocket API trading is not enabled.": Cause.AUTH,
    "FIX API trading is not enabled.": Cause.AUTH,
    "Order book liquidity is less than `LOT_SIZE` filter minimum quantity.": Cause.PRICE_BAND,
    "Order book liquidity is less than `MARKET_LOT_SIZE` filter minimum quantity.": (
        Cause.PRICE_BAND
    ),
    "Order book liquidity is less than symbol minimum quantity.": Cause.PRICE_BAND,
    "Order book liquidity is too low for this pegged order.": Cause.PRICE_BAND,
    "Price * QTY is zero or less.": Cause.FILTER,
    "Invalid quantity.": Cause.FILTER,
    "Invalid price.": Cause.FILTER,
}


@pytest.mark.parametrize("text", [*TEXTS_DOCUMENTED, *TEXTS_KNOWN_FROM_ELSEWHERE])
def test_a_refusal_of_the_engine_is_what_its_text_says(text: str) -> None:
    expected = A if text == "Duplicate order sent." else U if text in UNDECIDED_TEXTS else R
    for code in TOLD_BY_TEXT:
        assert verdicts(code, text) == (expected, U, U, U)
        cause = CAUSES.get(text, Cause.OTHER) if expected is R else Cause.NONE
        assert classify(said(code, text)).cause is cause


@pytest.mark.parametrize("text", TEXTS_DOCUMENTED)
def test_a_refused_cancel_says_nothing_about_the_order_in_any_words(text: str) -> None:
    for code in (-2011, *TOLD_BY_TEXT):
        assert classify(said(code, text), CANCEL).verdict is U
    assert classify(said(-2011, text), CREATE).verdict is U


BANDS = ("PERCENT_PRICE", "PERCENT_PRICE_BY_SIDE", "PRICE_RANGE")


@pytest.mark.parametrize("name", [*FILTERS_DOCUMENTED, *FILTERS_KNOWN_FROM_ELSEWHERE])
def test_a_filter_failure_is_a_refusal_before_matching(name: str) -> None:
    found = classify(said(-1013, f"Filter failure: {name}"))
    cause = Cause.PRICE_BAND if name in BANDS else Cause.FILTER
    assert (found.verdict, found.cause) == (R, cause)


def test_a_filter_of_next_year_is_a_refusal_only_under_the_code_that_never_reaches_matching() -> (
    None
):
    text = "Filter failure: NEW_RULE"
    found = classify(said(-1013, text))
    assert (found.verdict, found.cause) == (R, Cause.FILTER)
    assert verdicts(-1013, text)[1:] == (U, U, U)
    assert verdicts(-2010, text) == verdicts(-1010, text) == (U, U, U, U)
    assert verdicts(-1013, "Filter failure: NEW_RULE, perhaps") == (U, U, U, U)


# ------------------------------------------------------------ statuses

WITHOUT_CODE = {
    400: (U, U, U, U),
    401: (U, U, R, R),
    403: (U, U, L, L),
    404: (U, U, U, U),
    408: (U, U, U, U),
    409: (U, U, U, U),
    418: (L, L, L, L),
    429: (L, L, L, L),
    **dict.fromkeys((0, 100, 204, 302, 500, 502, 503, 504, 599), (U, U, U, U)),
}


@pytest.mark.parametrize("status", sorted(WITHOUT_CODE))
def test_a_status_without_a_code_means_what_its_row_says(status: int) -> None:
    assert verdicts(None, "<html>", status) == WITHOUT_CODE[status]


def test_an_answer_without_a_status_proves_nothing() -> None:
    assert classify(SendEvidence(ANSWERED, code=-1121)).verdict is U


@pytest.mark.parametrize("status", [302, 403, 408, 409, 500, 502, 503, 504])
def test_no_code_makes_a_server_s_or_a_firewall_s_failure_definitive(status: int) -> None:
    text = "Account has insufficient balance for requested action."
    for code in table.CODES:
        assert verdicts(code, text, status)[:2] == (U, U), code


@pytest.mark.parametrize("status", [418, 429])
def test_a_rate_limit_and_a_code_that_contradicts_it_prove_nothing(status: int) -> None:
    text = "Account has insufficient balance for requested action."
    for code in table.CODES:
        expected = L if code in PACED else U
        assert verdicts(code, text, status) == (expected,) * 4, code


# ------------------------------------------------------------ phases and successes


def test_a_success_needs_a_report() -> None:
    assert classify(SendEvidence(ANSWERED, http_status=200)).verdict is U
    assert classify(SendEvidence(ANSWERED, http_status=200, code=-2010)).verdict is U
    report = OrderReport(
        client_order_id="ux0-1",
        exchange_order_id="1",
        symbol="BTC/USDT",
        side=Side.SELL,
        status=OrderStatus.NEW,
        quantity=builders.bitcoin().quantity_step,
        filled_quantity=builders.bitcoin().quantity_step,
        price=None,
        fills=(),
        updated_at=builders.NOON,
    )
    found = classify(SendEvidence(ANSWERED, http_status=200, report=report))
    assert (found.verdict, found.text) == (Verdict.ACK, "answered, http 200, order new")


def test_the_text_is_the_evidence_for_the_journal() -> None:
    assert classify(said(-2010, "x" * 300)).text == f"answered, http 400, code -2010, {'x' * 200}"


@given(
    st.sampled_from([SendPhase.NOT_SENT, SendPhase.SENT]),
    st.sampled_from(Action),
    st.none() | st.integers(100, 599),
    st.none() | st.integers(-9999, 9999),
    st.text(max_size=20),
)
def test_how_far_a_request_got_comes_first(
    phase: SendPhase, action: Action, status: int | None, code: int | None, message: str
) -> None:
    evidence = SendEvidence(phase, http_status=status, code=code, message=message)
    expected = Verdict.NOT_SENT if phase is SendPhase.NOT_SENT else U
    assert classify(evidence, action).verdict is expected


@pytest.mark.parametrize("code", [-1021, -1121, -2010, -2013])
@pytest.mark.parametrize("action", list(Action))
def test_no_answer_is_believed_of_a_request_that_has_none(code: int, action: Action) -> None:
    unanswered = SendEvidence(SendPhase.SENT, http_status=400, code=code, message="")
    assert classify(unanswered, action).verdict is U
    unsent = SendEvidence(SendPhase.NOT_SENT, http_status=400, code=code, message="")
    assert classify(unsent, action).verdict is Verdict.NOT_SENT


# ------------------------------------------------------------ the unlisted


@pytest.mark.fault("X04")
@given(
    st.integers(-99_999, 99_999).filter(lambda code: code not in table.CODES),
    st.sampled_from([*TEXTS_DOCUMENTED, *(f"Filter failure: {each}" for each in BANDS)])
    | st.text(max_size=60),
    st.integers(0, 999),
    st.sampled_from([CREATE, CANCEL]),
)
def test_an_unlisted_code_is_unknown(code: int, text: str, status: int, action: Action) -> None:
    assert classify(said(code, text, status), action).verdict is U
    fired({str(code)} - {str(known) for known in table.CODES})


@given(
    st.sampled_from([*TOLD_BY_TEXT, -2011]),
    st.text(max_size=80)
    | st.sampled_from(list(table.TEXTS)).map(lambda text: f"{text}, perhaps")
    | st.sampled_from(list(table.TEXTS)).map(lambda text: f"not known whether {text}"),
    st.sampled_from([CREATE, CANCEL]),
)
def test_an_unlisted_text_is_unknown(code: int, text: str, action: Action) -> None:
    if " ".join(text.lower().split()).rstrip(" .;") not in table.TEXTS:
        assert classify(said(code, text), action).verdict is U


@given(st.integers(0, 999), st.none() | st.integers(-5000, 10), st.text(max_size=40))
def test_a_query_alone_can_say_that_there_is_no_such_order(
    status: int, code: int | None, text: str
) -> None:
    for action in Action:
        if classify(said(code, text, status), action).verdict is N:
            assert (action, code) == (QUERY, -2013)
            assert 400 <= status < 500
