"""The connections to Telegram: safe ones, whose certificates are read once."""

import ssl
from typing import Any
from unittest import mock

import pytest

from bot.telegram import requesting
from bot.telegram.requesting import bot_of
from bot.telegram.settings import TelegramSettings


@pytest.mark.parametrize("base_url", [None, "http://127.0.0.1:1/bot"])
def test_both_pools_of_a_bot_read_the_certificates_once_and_check_them(
    base_url: str | None,
) -> None:
    requesting._trusted.cache_clear()
    made: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def noted(*arguments: Any, **named: Any) -> ssl.SSLContext:
        made.append(create(*arguments, **named))
        return made[-1]

    with mock.patch.object(ssl, "create_default_context", noted):
        bot_of(TelegramSettings("4242:token", base_url))
    [context] = made
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] > 0
