"""The shell around the trackers: durable before acting, one trigger per arming, nothing lost."""

from trading.trackers.engine.recording import UNRECORDED, UNSAVED, TrackerSettings
from trading.trackers.engine.watching import Hooks, TrackerEngine

__all__ = ["UNRECORDED", "UNSAVED", "Hooks", "TrackerEngine", "TrackerSettings"]
