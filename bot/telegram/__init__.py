"""The chat front end: Telegram updates in, cards out, nothing lost between."""

from bot.telegram.app import Surroundings, TelegramBot
from bot.telegram.settings import TelegramSettings

__all__ = ["Surroundings", "TelegramBot", "TelegramSettings"]
