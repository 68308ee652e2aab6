"""Waiting for something to become true, with a deadline and a sentence when it does not."""

import time


def wait_for(condition, what, timeout=30.0, interval=0.05):
    """Calls condition() until it gives something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what} (last: {result!r})")
        time.sleep(interval)
