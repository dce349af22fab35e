"""Tags: what is recorded of them, and what may be a label."""

from collections.abc import Mapping

import pytest

from gateway.core.tags import labelled, tagged

KNOWN = {"use_case": ("rag", "chat"), "project": ()}


@pytest.mark.parametrize(
    ("given", "recorded", "labels"),
    [
        ({}, {}, {"use_case": ""}),
        ({"use_case": "rag"}, {"use_case": "rag"}, {"use_case": "rag"}),
        ({"use_case": "made up"}, {"use_case": "other"}, {"use_case": "other"}),
        ({"project": "made up"}, {"project": "made up"}, {"use_case": ""}),
        ({"mine": "x"}, {"mine": "x"}, {"use_case": ""}),
    ],
)
def test_tags(
    given: Mapping[str, str], recorded: Mapping[str, str], labels: Mapping[str, str]
) -> None:
    assert tagged(given, KNOWN) == recorded
    assert labelled(tagged(given, KNOWN), KNOWN) == labels
