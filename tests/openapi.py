"""OpenAI's public API description, as a judge of what we send to clients."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.recordings import need_shared

WHOLE = "CreateChatCompletionResponse"
CHUNK = "CreateChatCompletionStreamResponse"


@cache
def _validator(schema: str) -> Draft202012Validator:
    path = need_shared("openapi") / "chat-subset.schema.json"
    document = json.loads(path.read_text("utf-8"))
    return Draft202012Validator({**document, "$ref": f"#/components/schemas/{schema}"})


def faults(schema: str, value: Any) -> list[str]:
    """What is wrong with a value, a line each: [] for nothing."""
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error in _validator(schema).iter_errors(value)
    ]
