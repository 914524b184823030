"""The gateway speaks of failed reads with the same meanings as the classifier's table."""

import json

import pytest

from tests.unit.trading.execution.documented import CODES_DOCUMENTED, TEXTS_DOCUMENTED
from trading.domain.errors import AuthLost, RateLimited, Unreachable
from trading.execution.classify import CODES, STATUSES, Action, Cause, Row, Verdict
from trading.gateway.errors import Answer, code_of, evidence_of, failure_of

NOW_MS = 1_795_176_000_000


def meaning(row: Row) -> type[Exception]:
    if row.query is Verdict.RATE_LIMITED:
        return RateLimited
    is_key = row.query is Verdict.REJECTED and row.cause is Cause.AUTH
    return AuthLost if is_key else Unreachable


def body(code: int, text: str = "a text") -> str:
    return json.dumps({"code": code, "msg": text})


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_failed_read_means_what_the_table_says_of_its_code(code: int) -> None:
    failure = failure_of(Exception("of the library"), Answer(400, body(code)), NOW_MS)
    assert type(failure) is meaning(CODES[code])


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_a_failed_read_means_what_the_table_says_of_its_status(status: int) -> None:
    failure = failure_of(Exception("of the library"), Answer(status, "<html>"), NOW_MS)
    assert type(failure) is meaning(STATUSES[status])


@pytest.mark.parametrize("code", CODES_DOCUMENTED)
def test_every_code_reaches_the_evidence_as_it_was_sent(code: int) -> None:
    for text in TEXTS_DOCUMENTED:
        found = evidence_of(Exception("-9 of the library"), Answer(409, body(code, text)), NOW_MS)
        assert (found.http_status, found.code, found.message) == (409, code, text)


def test_what_stands_beside_the_code_does_not_hide_it() -> None:
    said = json.dumps({"code": -2021, "msg": "half", "data": {"cancelResult": {"code": -2011}}})
    assert code_of(said) == (-2021, "half")


def test_no_such_order_is_the_only_code_that_a_query_takes_for_an_answer() -> None:
    found = [code for code, row in CODES.items() if row.verdict(Action.QUERY) is Verdict.NOT_FOUND]
    assert found == [-2013]
