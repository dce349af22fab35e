"""Their budgets and durations as ours."""

from typing import Any, Final

from gateway.config.litellm.given import Notes, Section

_PERIODS: Final = {
    "60s": "minute", "1m": "minute", "60m": "hour", "1h": "hour", "24h": "day", "1d": "day",
    "7d": "week", "1w": "week", "30d": "month", "1mo": "month",
}  # fmt: skip
_CALENDAR: Final = frozenset(("1mo",))
"""Of these the calendar counts; the others are spans of that length."""


def budget(section: Section, usd: str, duration: str, notes: Notes) -> list[dict[str, Any]]:
    """One in US dollars, or none and a note. LiteLLM counts from when it began; here any span of
    that length counts.
    """
    amount, length = section.number(usd), section.text(duration)
    if amount is None:
        return []
    if amount == 0:
        notes.add("lost", section.at(usd), "a budget of nothing: leave out who may spend nothing")
        return []
    per = "total" if length is None else _PERIODS.get(length)
    if per is None:
        text = f"{length} is no period here: write one per minute, hour, day, week or month"
        notes.add("lost", section.at(usd), text)
        return []
    limit: dict[str, Any] = {"usd": f"{amount:f}", "per": per}
    if length is not None and length not in _CALENDAR:
        limit["rolling"] = "true"
    return [limit]
