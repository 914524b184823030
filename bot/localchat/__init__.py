"""A Bot API server on loopback with a phone-like page, so Umbra runs and is tested alone."""

from bot.localchat.flood import FloodLimits
from bot.localchat.server import DEFAULT_PORT, build_app, run, serving

__all__ = ["DEFAULT_PORT", "FloodLimits", "build_app", "run", "serving"]
