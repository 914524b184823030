"""What a start refuses: settings that cannot be right, each with its exact name and an example."""

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from bot.config.exchanges import streaming
from bot.config.settings import PREFIX, Mode, Settings, is_loopback, is_url, setting_names
from trading.domain.errors import SettingsInvalid, StorageLost
from trading.domain.redaction import MASK, masking

LIVE_CONSENT = "real-money"
_SHOWN_MAX = 3
# A bot's token, as it stands in the address of each of its requests.
_TOKEN = re.compile(r"([0-9]{3,}):[\w-]{10,}", re.ASCII)
# What a Bot API server may take for one: any text, as it fits into an address.
_FORM = re.compile(r"[0-9]+:[!-~]+")
_EXAMPLES = {
    "mode": "paper",
    "exchange_id": "binance",
    "exchange_api_key": "your key, without withdrawal rights",
    "exchange_secret": "the key's secret",
    "exchange_rest_url": "http://127.0.0.1:8090",
    "exchange_ws_url": "ws://127.0.0.1:8090",
    "telegram_token": "123456:ABC-your-token-from-BotFather",
    "telegram_api_url": "http://127.0.0.1:8091/bot",
    "owner_id": "123456789",
    "allowed_chat_ids": "123456789,987654321",
    "allow_groups": "true",
    "totp_secret": "the base32 text that your authenticator app shows for a new account",
    "secrets_passphrase_file": "/etc/umbra/passphrase",
    "database_url": "sqlite+aiosqlite:////var/lib/umbra/umbra.db",
    "data_dir": "/var/lib/umbra",
    "second_channel_urls": "ntfys://ntfy.sh/your-topic",
    "watchdog_telegram_token": "654321:another-bot-of-yours",
    "watchdog_chat_id": "123456789",
    "live_consent": LIVE_CONSENT,
    "allow_unrestricted_key": "true",
    "paper_balance": "USDT=10000,BTC=0.5",
    "order_notional_max": "25000",
    "order_share_max": "0.25",
    "notional_per_day_max": "250000",
    "code_notional_min": "1000",
    "watched_per_person_max": "20",
    "watched_max": "200",
    "scan_timeframes": "1h,4h,12h,1d,3d",
    "scores_kept_days": "400",
    "orders_per_minute_max": "60",
    "orders_open_max": "100",
    "duplicate_window_s": "5",
    "price_collar": "0.05",
    "spread_max": "0.10",
    "daily_loss_max": "0.10",
    "exit_attempts_per_minute_max": "20",
    "currency": "USDT",
    "log_level": "INFO",
    "failpoint": "after_commit:AttemptPrepared:1",
}
_RULES = {
    "int_parsing": "should be a whole number",
    "decimal_parsing": "should be a number",
    "float_parsing": "should be a number",
    "bool_parsing": "should be true or false",
    "string_pattern_mismatch": "should be DEBUG, INFO, WARNING or ERROR",
}


def refuse_unknown(names: Iterable[str]) -> None:
    """Refuse a name that begins like ours and is none of them, with the nearest one."""
    known = setting_names()
    for name in sorted(names):
        if name not in known:
            # All begin alike, which must not count for likeness.
            ends = [one.removeprefix(PREFIX) for one in known]
            near = difflib.get_close_matches(name.upper().removeprefix(PREFIX), ends, n=1)
            if near:
                field = near[0].lower()
                raise SettingsInvalid(
                    f"{name} is not a setting of Umbra; did you mean {PREFIX}{near[0]}? "
                    f"{_example(field)}"
                )
            raise SettingsInvalid(
                f"{name} is not a setting of Umbra: take it out, all that are stand in "
                f".env.example. {_example('mode')}"
            )


def check_account(settings: Settings) -> None:
    """Refuse an exchange or a consent that does not fit the mode."""
    _check_exchange(settings)
    if settings.mode is Mode.LIVE:
        _check_live(settings)
    elif settings.live_consent:
        raise SettingsInvalid(
            "UMBRA_LIVE_CONSENT is set and UMBRA_MODE is paper: take the consent out, or say "
            "UMBRA_MODE=live"
        )


def check_telegram(settings: Settings) -> None:
    """Refuse a chat that could not be reached, or codes that nobody could give."""
    if not settings.telegram_token.get_secret_value():
        raise _invalid("telegram_token", "is missing")
    _check_token("telegram_token", settings.telegram_token)
    try:
        _ = settings.totp_key
    except ValueError as error:
        raise _invalid("totp_secret", str(error)) from None
    _check_groups(settings)
    _check_api_url(settings)


def check_watchdog(settings: Settings) -> None:
    """Refuse a watchdog that could not speak."""
    token = settings.watchdog_telegram_token
    _check_api_url(settings)
    if not token.get_secret_value() and not settings.channel_urls:
        raise _invalid("watchdog_telegram_token", "and UMBRA_SECOND_CHANNEL_URLS are both missing")
    if token.get_secret_value():
        _check_token("watchdog_telegram_token", token)
        if settings.alarm_chat_id is None:
            raise _invalid("watchdog_chat_id", "is missing, and so is UMBRA_OWNER_ID")


def _check_token(field: str, secret: SecretStr) -> None:
    token = secret.get_secret_value()
    if not _FORM.fullmatch(token):
        raise _invalid(field, "should look like digits:text, without blanks")


def _check_groups(settings: Settings) -> None:
    # Groups and channels have negative numbers, people and their private chats positive ones.
    groups = sorted(one for one in settings.allowed_chat_ids if one < 0)
    if groups and not settings.allow_groups:
        named = ", ".join(map(str, groups))
        raise _invalid(
            "allow_groups",
            f"should be true where UMBRA_ALLOWED_CHAT_IDS names a group, and it names {named}. All "
            "members of a group read what the bot says there: take it out, or accept that",
        )


def _check_api_url(settings: Settings) -> None:
    url = settings.telegram_api_url
    if url and not (url.endswith("/bot") and is_url(url, ("http", "https"))):
        raise _invalid(
            "telegram_api_url", f"should be a URL and should end in /bot, was {_address(url)}"
        )


def _check_exchange(settings: Settings) -> None:
    known = streaming()
    if settings.exchange_id not in known:
        near = difflib.get_close_matches(settings.exchange_id.lower(), known, n=2)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise _invalid(
            "exchange_id", f"should be an exchange that streams, was {settings.exchange_id!r}{hint}"
        )
    if bool(settings.exchange_rest_url) != bool(settings.exchange_ws_url):
        missing = "exchange_ws_url" if settings.exchange_rest_url else "exchange_rest_url"
        raise _invalid(missing, "is missing: the two URLs of an exchange belong together")
    for field, schemes in (
        ("exchange_rest_url", ("http", "https")),
        ("exchange_ws_url", ("ws", "wss")),
    ):
        url = getattr(settings, field)
        if url and not is_url(url, schemes):
            shown = masking(settings.secrets)(_address(url))
            said = f"should start with {schemes[0]}:// and name a host, was {shown}"
            raise _invalid(field, said)
        if url and urlsplit(url).path.strip("/"):
            shown = masking(settings.secrets)(_address(url))
            raise _invalid(field, f"should be a bare root without a path, was {shown}")
    if is_loopback(settings.exchange_rest_url) != is_loopback(settings.exchange_ws_url):
        raise _invalid("exchange_ws_url", "and the REST URL should both be local, or neither")


def _check_live(settings: Settings) -> None:
    for field in ("exchange_api_key", "exchange_secret"):
        if not getattr(settings, field).get_secret_value():
            raise _invalid(field, "is missing, and UMBRA_MODE=live needs it")
    if not settings.is_loopback_exchange and settings.live_consent != LIVE_CONSENT:
        found = settings.live_consent
        problem = f"should be {LIVE_CONSENT}, was {found!r}" if found else "is missing"
        raise _invalid("live_consent", f"{problem}: live mode sends real orders with real money")


def unusable_directory(directory: Path, error: OSError) -> SettingsInvalid:
    """Return why a start with this data directory is refused."""
    reason = error.strerror or type(error).__name__
    if error.filename and Path(error.filename) not in {directory, *directory.parents}:
        reason += f" ({error.filename})"
    return _invalid(
        "data_dir", f"should be a directory to write in, was {str(directory)!r}: {reason}"
    )


def foreign_directory(directory: Path, names: Sequence[str]) -> SettingsInvalid:
    """Return why a start is refused in a directory that holds what is not Umbra's."""
    shown = ", ".join(repr(name) for name in names[:_SHOWN_MAX]) + ", …" * (len(names) > _SHOWN_MAX)
    return _invalid(
        "data_dir",
        f"should be a directory for Umbra alone, and {str(directory)!r} holds {shown}: choose an "
        "empty one, or one that is not there yet; or, where nobody else needs this one, close it "
        f"to others yourself: chmod 700 {shlex.quote(str(directory))}",
    )


def unusable_database(said: str) -> StorageLost:
    """Return why a start with the database that was named, and cannot be opened, is refused."""
    return StorageLost(_text("database_url", f"should be a database that answers: {said}"))


def refused(error: ValidationError, values: Mapping[str, str]) -> SettingsInvalid:
    """Return the first thing that is wrong with a value, in a person's words."""
    first = error.errors()[0]
    field = str(first["loc"][0])
    return _invalid(field, f"{_rule(first['type'], first['msg'])}, was {_shown(field, values)}")


def _invalid(field: str, problem: str) -> SettingsInvalid:
    return SettingsInvalid(_text(field, problem))


def _text(field: str, problem: str) -> str:
    return f"{PREFIX}{field.upper()} {problem}. {_example(field)}"


def _example(field: str) -> str:
    return f"Example: {PREFIX}{field.upper()}={_EXAMPLES.get(field, '…')}"


def _address(url: str) -> str:
    """An address as a refusal repeats it: nothing that opens something stands in it."""
    # Not `urlsplit`: what is refused is often no address at all.
    head, at, rest = url.rpartition("@")
    scheme, is_whole, _ = head.partition("://")
    shown = f"{scheme}://{MASK}@{rest}" if is_whole else f"{MASK}@{rest}" if at else rest
    shown, asked, _ = shown.partition("?")
    return repr(_TOKEN.sub(rf"\g<1>:{MASK}", shown) + (f"?{MASK}" if asked else ""))


def _rule(kind: str, said: str) -> str:
    """What a setting should be, in a person's words."""
    said = said.removeprefix("Value error, ").removeprefix("Input ")
    return _RULES.get(kind, said[:1].lower() + said[1:])


def _shown(field: str, values: Mapping[str, str | None]) -> str:
    hidden = any(word in field for word in ("token", "secret", "key", "database", "channel"))
    return "hidden" if hidden else repr(values.get(PREFIX + field.upper(), ""))
