"""How long a task waits before it is tried again."""

from cairn.spec.types import RetryPolicy


def backoff_seconds(policy: RetryPolicy, retry: int) -> float:
    """Before retry `retry` (1, 2, …): exponential, capped. No jitter: the steps of one machine do not stampede."""
    if policy.backoff_seconds <= 0:
        return 0.0
    factor = policy.factor if policy.factor > 0 else 1.0
    exponent = min(retry - 1, 64)
    return float(min(policy.backoff_seconds * factor**exponent, policy.max_seconds))
