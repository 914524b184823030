"""What `make test` plays a sample of, and `WHOLE=1`, as `make test-long` says, the whole."""

import os
from typing import TypeVar

IS_WHOLE = bool(os.environ.get("WHOLE"))
Some = TypeVar("Some")


def sampled(sample: Some, whole: Some) -> Some:
    """Return what to play now: the sample, or the whole of it."""
    return whole if IS_WHOLE else sample
