"""What a reply says of its cost: the `gateway` field of its usage."""

import msgspec

from gateway.call import Tab
from gateway.core.explain import dollars


def extension(tab: Tab) -> bytes:
    """JSON: what all attempts cost together, and each of them in order."""
    attempts = [
        {
            "model": attempt.candidate.model.name,
            "provider": attempt.candidate.deployment.provider,
            "tier": attempt.candidate.tier,
            "purpose": attempt.purpose,
            "outcome": attempt.outcome,
            "cost_usd": dollars(attempt.cost),
        }
        for attempt in tab.attempts
    ]
    return msgspec.json.encode({"cost_usd": dollars(tab.spent), "attempts": attempts})
