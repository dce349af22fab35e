"""Bedrock's Converse, from the provider's side: parsing and validation of requests.

Error messages are those of the real API where recordings or its documentation have them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.simulator.format import compact, read_object
from gateway.simulator.simulated_request import Fault, SimulatedRequest, Tool

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FIELDS: Final = frozenset({
    "additionalModelRequestFields", "additionalModelResponseFieldPaths", "guardrailConfig",
    "inferenceConfig", "messages", "outputConfig", "performanceConfig", "promptVariables",
    "requestMetadata", "serviceTier", "system", "toolConfig",
})  # fmt: skip
_NUMBERS: Final = (("maxTokens", 1, None), ("temperature", 0, 1), ("topP", 0, 1))


def read(body: bytes, headers: Mapping[str, str], params: Mapping[str, str]) -> SimulatedRequest:
    """Raises Fault 400. The signature is not checked."""
    fields = read_object(body)
    if fields is None:
        raise Fault(400, "The request body is not valid JSON.")
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    unknown = sorted(given.keys() - _FIELDS)
    if unknown:
        raise Fault(400, f"Malformed input request: extraneous key [{unknown[0]}] is not permitted")
    inference = _object(given, "inferenceConfig")
    _check_inference(inference)
    messages = _messages(given)
    system = [_text(f"system.{at}", block) for at, block in enumerate(given.get("system", ()))]
    user_texts = [
        _plain_texts(message["content"]) for message in messages if message["role"] == "user"
    ]
    questions = [texts for texts in user_texts if texts]
    tools, forced_tool, parallel = _tools(given)
    _check_tools_declared(messages, given)
    answered = any("toolResult" in block for block in messages[-1]["content"])
    text_format = _object(_object(given, "outputConfig"), "textFormat")
    return SimulatedRequest(
        model=params["model"],
        texts=(*system, *(text for each in messages for text in _texts(each["content"]))),
        question="\n".join(questions[-1]) if questions else "",
        stream=params["verb"] == "converse-stream",
        limit=inference.get("maxTokens"),
        stop=tuple(inference.get("stopSequences") or ()),
        tools=() if answered else tools,
        forced_tool=forced_tool,
        parallel=parallel,
        wants_json=text_format.get("type") == "json_schema",
        schema=_schema(text_format),
        no_arguments="",
    )


def _object(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = given.get(name) or {}
    if not isinstance(value, dict):
        raise Fault(400, f"{name}: a structure is expected")
    return value


def _check_inference(inference: Mapping[str, Any]) -> None:
    for name, low, high in _NUMBERS:
        value = inference.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Fault(400, f"{name}: a number is expected")
        if value < low:
            raise _constraint(f"inferenceConfig.{name}", f"greater than or equal to {low}")
        if high is not None and value > high:
            raise _constraint(f"inferenceConfig.{name}", f"less than or equal to {high}")


def _constraint(where: str, bound: str) -> Fault:
    message = f"1 validation error detected: Value at '{where}' failed to satisfy constraint:"
    return Fault(400, f"{message} Member must have value {bound}")


def _messages(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages = given.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Fault(
            400,
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message.",
        )
    before = "assistant"
    for at, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant"):
            raise Fault(
                400,
                f"1 validation error detected: Value '{role}' at 'messages.{at + 1}.member.role' "
                "failed to satisfy constraint: Member must satisfy enum value set: [user, "
                "assistant]",
            )
        if role == before:
            raise Fault(400, _role_error(at))
        before = role
        _check_content(f"messages.{at}", message.get("content"))
    _check_results(messages)
    return messages


def _role_error(at: int) -> str:
    if at == 0:
        return (
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message."
        )
    return (
        "A conversation must alternate between user and assistant roles. Make sure the "
        "conversation alternates between user and assistant roles and try again."
    )


def _check_content(where: str, content: Any) -> None:
    if not isinstance(content, list) or not content:
        raise Fault(
            400,
            f"The content field in the Message object at {where} is empty. Add a ContentBlock "
            "object to the content field and try again.",
        )
    for at, block in enumerate(content):
        place = f"{where}.content.{at}"
        if not isinstance(block, dict) or len(block) != 1:
            raise Fault(400, f"The ContentBlock object at {place} must set one field")
        if "text" in block:
            _text(place, block)
        use = block.get("toolUse")
        if use is not None and not isinstance(use.get("input"), dict):
            message = "The format of the value at {}.toolUse.input is invalid. Provide a json "
            raise Fault(400, message.format(place) + "object for the field and try again.")


def _text(where: str, block: Any) -> str:
    text = block.get("text", "") if isinstance(block, dict) else None
    if not isinstance(text, str):
        raise Fault(400, f"The text field at {where} must be a string")
    # A lone line break is accepted (recorded); it separates a document from a cache point.
    if not text.strip(" ") and "text" in block:
        raise Fault(
            400,
            f"The text field in the ContentBlock object at {where} is blank. Add text to the text "
            "field, and try again.",
        )
    return text


def _check_results(messages: Sequence[Mapping[str, Any]]) -> None:
    """Each tool use needs a result in the next message, and vice versa."""
    unanswered: list[str] = []
    for at, message in enumerate(messages):
        results = [
            b["toolResult"].get("toolUseId") for b in message["content"] if "toolResult" in b
        ]
        missing = [one for one in unanswered if one not in results]
        if missing:
            listed = ", ".join(missing)
            raise Fault(
                400, f"Expected toolResult blocks at messages.{at}.content for the following Ids: "
                f"{listed}",
            )  # fmt: skip
        if len(results) > len(unanswered):
            raise Fault(
                400, f"The number of toolResult blocks at messages.{at}.content exceeds the number "
                "of toolUse blocks of previous turn.",
            )  # fmt: skip
        unanswered = [b["toolUse"].get("toolUseId") for b in message["content"] if "toolUse" in b]


def _check_tools_declared(messages: list[dict[str, Any]], given: Mapping[str, Any]) -> None:
    kinds = {kind for message in messages for block in message["content"] for kind in block}
    if kinds & {"toolUse", "toolResult"} and "toolConfig" not in given:
        message = "The toolConfig field must be defined when using toolUse and toolResult content"
        raise Fault(400, f"{message} blocks.")


def _tools(given: Mapping[str, Any]) -> tuple[tuple[Tool, ...], str | None, bool]:
    """The tools, the name of the forced one, and whether parallel calls are allowed."""
    if "toolConfig" not in given:
        return (), None, True
    config = _object(given, "toolConfig")
    declared = config.get("tools")
    if not isinstance(declared, list) or not declared:
        raise Fault(
            400, "1 validation error detected: Value '[]' at 'toolConfig.tools' failed to satisfy "
            "constraint: Member must have length greater than or equal to 1",
        )  # fmt: skip
    specs = [tool["toolSpec"] for tool in declared if "toolSpec" in tool]
    tools = tuple(_tool(f"toolConfig.tools.{at}", spec) for at, spec in enumerate(specs))
    own = _object(_object(given, "additionalModelRequestFields"), "tool_choice")
    choice = _object(config, "toolChoice")
    forced_tool = own.get("name") or (choice.get("tool") or {}).get("name")
    if forced_tool is not None and forced_tool not in [tool.name for tool in tools]:
        raise Fault(400, f"The tool {forced_tool} of toolChoice is not in toolConfig.tools")
    return tools, forced_tool, not own.get("disable_parallel_tool_use", False)


def _tool(where: str, spec: Any) -> Tool:
    name = spec.get("name") if isinstance(spec, dict) else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Fault(
            400, f"1 validation error detected: Value '{name}' at '{where}.toolSpec.name' failed "
            f"to satisfy constraint: Member must satisfy regular expression pattern: "
            f"{_NAME.pattern}",
        )  # fmt: skip
    schema = _object(spec, "inputSchema").get("json")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise Fault(
            400, f"The value at {where}.toolSpec.inputSchema.json.type must be one of the "
            "following: object.",
        )  # fmt: skip
    return Tool(name, schema)


def _schema(text_format: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The JSON schema, which is a string of JSON."""
    json_schema = _object(_object(text_format, "structure"), "jsonSchema")
    if text_format.get("type") != "json_schema":
        return None
    schema = read_object(str(json_schema.get("schema")).encode())
    if schema is None:
        raise Fault(400, "outputConfig.textFormat.structure.jsonSchema.schema is not valid JSON")
    return schema


def _plain_texts(content: Sequence[Mapping[str, Any]]) -> list[str]:
    return [block["text"] for block in content if "text" in block]


def _texts(content: Sequence[Mapping[str, Any]]) -> list[str]:
    texts: list[str] = []
    for block in content:
        if "toolResult" in block:
            for part in block["toolResult"].get("content") or ():
                texts += [compact(part["json"])] if "json" in part else _plain_texts([part])
        else:
            texts += _plain_texts([block])
    return texts
