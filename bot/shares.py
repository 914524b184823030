"""From the settings of the whole process to each part's own share of them."""

from urllib.parse import urlsplit

from bot.build import build, configured
from bot.config import Settings
from bot.telegram.settings import TelegramSettings
from trading.decide import DecisionSettings
from trading.gateway.settings import GatewaySettings
from trading.installation import AgentSettings
from trading.risk.limits import RiskLimits


def gateway_settings(settings: Settings) -> GatewaySettings:
    """Return the gateway's share of the settings."""
    return GatewaySettings(
        exchange_id=settings.exchange_id,
        api_key=settings.exchange_api_key.get_secret_value(),
        secret=settings.exchange_secret.get_secret_value(),
        other_secrets=settings.secrets,
        rest_url=settings.exchange_rest_url,
        ws_url=settings.exchange_ws_url,
    )


def agent_settings(settings: Settings, version: str, install_id: str) -> AgentSettings:
    """Return the agent's share of the settings."""
    return AgentSettings(
        mode=settings.mode.value,
        exchange=settings.exchange_id,
        currency=settings.currency,
        version=version,
        build=build(),
        configured=configured(settings),
        decisions=DecisionSettings(installation=install_id),
        limits=_risk_limits(settings),
        accepts_unrestricted_key=settings.allow_unrestricted_key,
        exchange_address=_root_of(settings.exchange_rest_url),
    )


def _root_of(url: str | None) -> str:
    # What stands before the host is told to nobody.
    parts = urlsplit(url or "")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if url else ""


def telegram_settings(settings: Settings) -> TelegramSettings:
    """Return the chat's share of the settings."""
    return TelegramSettings(
        token=settings.telegram_token.get_secret_value(),
        other_secrets=settings.secrets,
        base_url=settings.telegram_api_url,
        owner_id=settings.owner_id,
        allowed_chat_ids=settings.allowed_chat_ids,
        allow_groups=settings.allow_groups,
        totp_secret=settings.totp_key,
        code_notional_min=settings.code_notional_min,
        watched_per_person_max=settings.watched_per_person_max,
        watched_max=settings.watched_max,
    )


def _risk_limits(settings: Settings) -> RiskLimits:
    return RiskLimits(
        currency=settings.currency,
        order_notional_max=settings.order_notional_max,
        order_share_max=settings.order_share_max,
        notional_per_day_max=settings.notional_per_day_max,
        orders_per_minute_max=settings.orders_per_minute_max,
        orders_open_max=settings.orders_open_max,
        duplicate_window_s=settings.duplicate_window_s,
        price_collar=settings.price_collar,
        spread_max=settings.spread_max,
        daily_loss_max=settings.daily_loss_max,
        exit_attempts_per_minute_max=settings.exit_attempts_per_minute_max,
    )
