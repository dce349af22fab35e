"""What of a provider's words is for clients."""

import pytest

from gateway.core.errors import Faulty


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Slow down.", "Slow down."),
        ("the task-list has 3 key points", "the task-list has 3 key points"),
        ("Incorrect API key provided: sk-proj-a1b2c3d4.", "Incorrect API key provided: [...]"),
        ("no such key AIzaSyA1234567890 here", "no such key [...] here"),
        ("The security token of AKIAIOSFODNN7EXAMPLE", "The security token of [...]"),
        ("sent was Bearer abc.def", "sent was [...]"),
        ('Post "http://10.0.0.7:11434/api": EOF', 'Post "[...]": EOF'),
    ],
)
def test_no_key_and_no_address_is_shown(said: str, shown: str) -> None:
    assert str(Faulty(said)) == shown
