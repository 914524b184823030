"""Several parts one after the other: none takes the turn of the others away by failing."""

from collections.abc import Awaitable, Callable, Iterable

from trading.domain.errors import Fatal


async def each(parts: Iterable[Callable[[], Awaitable[int]]]) -> int:
    """Give each its turn and return the sum; what failed is raised after the last.

    What ends trading or the process passes through at once.
    """
    done, failures = 0, []
    for part in parts:
        try:
            done += await part()
        except Fatal:
            raise
        except Exception as error:
            failures.append(error)
    if len(failures) > 1:
        raise ExceptionGroup("several parts failed", failures)
    if failures:
        raise failures[0]
    return done
