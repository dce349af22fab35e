"""What the log says of models on their way out."""

import logging

import pytest

from gateway.core.catalog import Card, Deployment, Deprecation, Model
from gateway.core.events import About, Began, Event, Replied
from gateway.core.money import FREE
from gateway.drivers.deprecations import Deprecations

GONE = Card(deprecated=Deprecation("2026-01-31", "new"))
HERE = (Deployment("p/m", "p", "m"),)
MODELS = {
    "old": Model("old", HERE, FREE, 9, 9, 9, card=GONE),
    "older": Model("older", HERE, FREE, 9, 9, 9, card=GONE),
    "new": Model("new", HERE, FREE, 9, 9, 9),
}
OLD = "model old is deprecated since 2026-01-31: use new (answered request {} of tenant acme{})"


def replied(model: str, request: str) -> Event:
    about = About(request, "acme", "auto", stream=False)
    return Replied(about, "p", model, "smart", "passed", 1.0, 1.0, None)


CASES: list[tuple[str, list[tuple[float, Event]], list[str]]] = [
    # title, when what happens, what is told
    ("another model", [(0, replied("new", "r1"))], []),
    ("no answer yet", [(0, Began(About("r1", "acme", "auto", stream=False)))], []),
    ("an answer", [(0, replied("old", "r1"))], [OLD.format("r1", "")]),
    ("within a minute", [(0, replied("old", "r1")), (59.9, replied("old", "r2"))],
     [OLD.format("r1", "")]),
    ("after it", [(0, replied("old", "r1")), (1, replied("old", "r2")), (2, replied("old", "r3")),
                  (60, replied("old", "r4")), (120, replied("old", "r5"))],
     [OLD.format("r1", ""), OLD.format("r4", ", and 2 more since the last line"),
      OLD.format("r5", "")]),
    ("each model for itself", [(0, replied("old", "r1")), (0, replied("older", "r2"))],
     [OLD.format("r1", ""), OLD.format("r2", "").replace("old", "older", 1)]),
]  # fmt: skip


@pytest.mark.parametrize(("title", "happens", "told"), CASES, ids=[case[0] for case in CASES])
def test_a_model_is_told_of_once_a_minute(
    title: str,
    happens: list[tuple[float, Event]],
    told: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    watch = Deprecations(MODELS, lambda: now)
    for at, event in happens:
        now = at
        watch.observe(event)
    assert caplog.messages == told, title
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_it_knows_whether_there_is_anything_to_watch() -> None:
    assert list(Deprecations(MODELS, lambda: 0.0).deprecated) == ["old", "older"]
    assert Deprecations({"new": MODELS["new"]}, lambda: 0.0).deprecated == {}
