"""A trigger on its way to an order has the loop to itself: what can wait asks, and stands back."""

import asyncio

# Turns of the loop that one trigger may take from what stands back: its way has about a dozen, and
# a commit that is awaited some more. Prices wait for milliseconds, whatever becomes of it.
_TURNS_MAX = 100


class RightOfWay:
    """Claimed by each trigger; only one that is alone is given way.

    Behind several at once prices, and the further stops in them, would wait for too long.
    """

    def __init__(self) -> None:
        self._claims: set[Claim] = set()
        self._turns_left = 0

    @property
    def is_claimed(self) -> bool:
        """Whether one trigger is on its way, and has turns left."""
        return len(self._claims) == 1 and self._turns_left > 0

    def claim(self) -> "Claim":
        """Have others stand back until the claim is released."""
        claim = Claim(self._claims)
        self._turns_left = _TURNS_MAX
        return claim

    async def stand_back(self) -> None:
        """Leave the loop to the others while it is claimed."""
        while self.is_claimed:
            self._turns_left -= 1
            await asyncio.sleep(0)


class Claim:
    """What a trigger holds until its order is on the wire; it may be released again and again."""

    def __init__(self, claims: "set[Claim]") -> None:
        self._claims = claims
        claims.add(self)

    def release(self) -> None:
        """Let everything else go on."""
        self._claims.discard(self)
