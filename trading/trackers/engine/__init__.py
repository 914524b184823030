"""The shell around the trackers: durable before acting, one trigger per arming, nothing lost."""

from trading.trackers.engine.desk import TrackerDesk
from trading.trackers.engine.hooks import Hooks, TrackerSettings
from trading.trackers.engine.runner import TrackerEngine

__all__ = ["Hooks", "TrackerDesk", "TrackerEngine", "TrackerSettings"]
