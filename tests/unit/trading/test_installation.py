"""What a start that gets no usable answer says: whom it asks, and what to check."""

import pytest

from trading.decide import DecisionSettings
from trading.domain.errors import RateLimited, Retryable, Silent, Unreachable
from trading.installation import AgentSettings, asked_in_vain
from trading.risk.limits import RiskLimits

NOT_FOUND = Unreachable("http 404, code None: 404: Not Found", 404)
ELSEWHERE = "does not know what is asked (404): it may be another exchange. Check UMBRA_EXCHANGE_ID"
BOTH = "UMBRA_EXCHANGE_ID, UMBRA_EXCHANGE_REST_URL"
LOCAL = "http://127.0.0.1:8090"


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("", NOT_FOUND, f"What answers for kraken {ELSEWHERE}"),
        (
            LOCAL,
            NOT_FOUND,
            f"What answers for kraken at {LOCAL} {ELSEWHERE} and UMBRA_EXCHANGE_REST_URL",
        ),
        (
            LOCAL,
            Silent("nothing came in time"),
            f"Asked is kraken at {LOCAL}. Check {BOTH} and this machine's network",
        ),
        (
            "",
            Unreachable("http 503, code None: busy", 503),
            "Asked is kraken. Check UMBRA_EXCHANGE_ID and this machine's network",
        ),
        (
            "",
            RateLimited("http 429", 30.0),
            "Asked is kraken: the exchange asks for a pause of 30 s",
        ),
    ],
)
def test_a_start_says_whom_it_asks_in_vain_and_what_to_check(
    address: str, error: Retryable, said: str
) -> None:
    settings = AgentSettings(
        mode="paper",
        exchange="kraken",
        currency="USDT",
        version="0",
        limits=RiskLimits(),
        decisions=DecisionSettings(installation="install-1"),
        exchange_address=address,
    )
    assert asked_in_vain(settings, error) == said
