"""One exchange has one name, however a person writes its address."""

import pytest

from bot.accounts import exchange_place


@pytest.mark.parametrize(
    ("rest_url", "place"),
    [
        (None, "binance"),
        ("https://api.binance.com", "binance"),
        ("https://API.Binance.com.:443/", "binance"),
        ("https://api-gcp.binance.com", "binance"),
        ("https://testnet.binance.vision/api", "testnet.binance.vision:443"),
        ("http://127.0.0.1:7090", "localhost:7090"),
        ("http://LOCALHOST:7090/", "localhost:7090"),
        ("http://[::1]:7090/api", "localhost:7090"),
        ("http://[::ffff:127.0.0.1]:7090", "localhost:7090"),
        ("http://127.1:7090", "localhost:7090"),
        ("http://0.0.0.0:7090", "localhost:7090"),
        ("http://[::]:7090", "localhost:7090"),
        ("http://127.0.0.1:7091", "localhost:7091"),
        ("http://localhost", "localhost:80"),
        ("http://192.0.2.1", "192.0.2.1:80"),
        ("https://192.0.2.1", "192.0.2.1:443"),
    ],
)
def test_every_spelling_of_an_address_is_one_place(rest_url: str | None, place: str) -> None:
    assert exchange_place("binance", rest_url) == place


def test_an_exchange_without_an_address_is_its_own_place() -> None:
    assert exchange_place("kraken", None) == "kraken"
    assert exchange_place("kraken", "https://api.binance.com") == "api.binance.com:443"
