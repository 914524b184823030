"""Whether the exchange answers and takes our key: two conditions that begin late and end calmly."""

from dataclasses import dataclass, field

EXCHANGE_DOWN = "exchange_down"
AUTH_LOST = "auth_lost"
CLOCK_OFF = "clock_off"
BALANCES_DISAGREE = "balances_disagree"
# While one of these stands, nothing is added to what is at risk.
ENTRIES_WAIT_FOR = (EXCHANGE_DOWN, AUTH_LOST, BALANCES_DISAGREE)


@dataclass(frozen=True, slots=True)
class ReachabilitySettings:
    """Seconds and counts of `reliability` §6.1: what is too little evidence changes nothing."""

    failures_min: int = 3
    # Three probes, one each 5 s, less what a scheduler comes late.
    down_after_s: float = 9.5
    # As many refusals, the first one by any request and each probe after it signed.
    refused_after_s: float = 9.5
    # A stop that may not sell for longer than this has to be known, whoever it was that asked.
    silence_min_s: float = 10.0
    green_s: float = 30.0
    clock_off_ms: int = 1000
    # One measurement over a slow line says little about a clock.
    clock_readings_min: int = 2


@dataclass(frozen=True, slots=True)
class Turn:
    """A condition that begins or ends now.

    `lasted_s` is the time from the first bad sign to the last, `green_s` that of good signs since.
    """

    condition: str
    is_active: bool
    lasted_s: float
    green_s: float = 0.0


@dataclass(slots=True)
class _Watch:
    """One condition: enough bad signs in a row begin it, a while without any ends it."""

    condition: str
    after_s: float
    is_active: bool = False
    failures: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    # When signs turned good, None while they are bad.
    green_from_s: float | None = None

    def bad(
        self,
        now_s: float,
        settings: ReachabilitySettings,
        *,
        is_certain: bool,
        began_s: float | None = None,
    ) -> Turn | None:
        if not self.failures:
            self.first_s = now_s if began_s is None else began_s
        self.failures += 1
        self.last_s, self.green_from_s = now_s, None
        is_long = now_s - self.first_s >= self.after_s and self.failures >= settings.failures_min
        if self.is_active or not (is_certain or is_long):
            return None
        self.is_active = True
        return Turn(self.condition, True, now_s - self.first_s)

    def good(self, now_s: float, settings: ReachabilitySettings) -> Turn | None:
        if not self.is_active:
            self.failures = 0
            return None
        if self.green_from_s is None:
            self.green_from_s = now_s
        if now_s - self.last_s < settings.green_s:
            return None
        self.is_active, self.failures = False, 0
        green_s = now_s - self.green_from_s
        return Turn(self.condition, False, self.last_s - self.first_s, green_s)


@dataclass(slots=True)
class Reachability:
    """Folds the outcomes of requests; every method takes monotonic seconds and returns a turn."""

    settings: ReachabilitySettings = field(default_factory=ReachabilitySettings)
    _down: _Watch = field(init=False)
    _auth: _Watch = field(init=False)
    _clock: _Watch = field(init=False)
    _readings: int = 0

    def __post_init__(self) -> None:
        """Begin with everything green."""
        self._down = _Watch(EXCHANGE_DOWN, self.settings.down_after_s)
        self._auth = _Watch(AUTH_LOST, self.settings.refused_after_s)
        self._clock = _Watch(CLOCK_OFF, 0.0)

    def resume(self, condition: str, now_s: float) -> None:
        """Take up a condition that was active when the process before this one ended."""
        watch = self._watch(condition) or self._clock
        watch.is_active, watch.failures = True, 1
        watch.first_s = watch.last_s = now_s

    def is_green(self, condition: str) -> bool:
        """Whether the last sign about a condition was good, so that only patience keeps it."""
        watch = self._watch(condition)
        return watch is not None and watch.green_from_s is not None

    def _watch(self, condition: str) -> _Watch | None:
        known = {EXCHANGE_DOWN: self._down, AUTH_LOST: self._auth, CLOCK_OFF: self._clock}
        return known.get(condition)

    def answered(self, now_s: float) -> Turn | None:
        """The exchange gave an answer that could be used."""
        return self._down.good(now_s, self.settings)

    def unreachable(self, now_s: float, asked_s: float | None = None) -> Turn | None:
        """A request got no usable answer; `asked_s` is when it was sent, if not just now."""
        return self._down.bad(now_s, self.settings, is_certain=False, began_s=asked_s)

    def silenced(self, now_s: float, silence_s: float) -> Turn | None:
        """The exchange asked for silence: a long one is a ban, a short one a hiccup of pace."""
        if silence_s < self.settings.silence_min_s and not self._down.is_active:
            return None
        return self._down.bad(now_s, self.settings, is_certain=True)

    def key_taken(self, now_s: float) -> Turn | None:
        """A signed request was answered."""
        return self._auth.good(now_s, self.settings)

    def key_refused(self, now_s: float) -> Turn | None:
        """A signed request was refused for its key."""
        return self._auth.bad(now_s, self.settings, is_certain=False)

    def clock_read(self, now_s: float, offset_ms: int) -> Turn | None:
        """The exchange's clock was compared with ours."""
        if abs(offset_ms) <= self.settings.clock_off_ms:
            self._readings = 0
            return self._clock.good(now_s, self.settings)
        self._readings += 1
        is_certain = self._readings >= self.settings.clock_readings_min
        return self._clock.bad(now_s, self.settings, is_certain=is_certain)

    @property
    def is_key_in_doubt(self) -> bool:
        """Whether the key was refused and is not known to be lost, so that each probe tells."""
        return self._auth.failures > 0 and not self._auth.is_active

    @property
    def is_key_lost(self) -> bool:
        """Whether the key was refused for long enough, and not yet taken for long enough."""
        return self._auth.is_active
