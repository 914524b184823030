"""What went wrong is said to people without the language of machines."""

import pytest

from trading.domain.errors import (
    AccountEmpty,
    AuthLost,
    NotInTime,
    RateLimited,
    UmbraError,
    Unreachable,
)

_RAW = "ConnectionRefusedError: [Errno 111] Connect call failed"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unreachable(_RAW), "the exchange does not answer"),
        (AccountEmpty(_RAW), "the exchange does not answer"),
        (AuthLost(f"{_RAW} (-2015)"), "the exchange refuses the key"),
        (RateLimited("http 418", 28.4), "the exchange asks for a pause of 28 s"),
        (RateLimited("http 429", 0.2), "the exchange asks for a pause of 1 s"),
        (
            RateLimited("5900 of 6000", 9.0, is_own_count=True),
            "Umbra's own limit asks for a pause of 9 s",
        ),
        (NotInTime("the picture was too slow"), "the picture was too slow"),
    ],
)
def test_people_are_told_what_matters_and_not_what_a_library_said(
    error: UmbraError, words: str
) -> None:
    assert error.words == words
