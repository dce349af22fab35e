"""OpenAI's chat completions, from the provider's side: parsing and validation of requests.

Error messages are those of the real API where recordings or its documentation have them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.simulator.format import read_object
from gateway.simulator.simulated_request import Fault, SimulatedRequest, Tool

_ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TYPES: Final[tuple[tuple[str, type | tuple[type, ...], str], ...]] = (
    ("stream", bool, "a boolean"),
    ("stream_options", dict, "an object"),
    ("n", int, "an integer"),
    ("max_tokens", int, "an integer"),
    ("max_completion_tokens", int, "an integer"),
    ("temperature", (int, float), "a decimal"),
    ("top_p", (int, float), "a decimal"),
    ("stop", (str, list), "a string or an array of strings"),
    ("tools", list, "an array of objects"),
    ("parallel_tool_calls", bool, "a boolean"),
    ("response_format", dict, "an object"),
    ("user", str, "a string"),
)


def read(body: bytes, headers: Mapping[str, str], params: Mapping[str, str]) -> SimulatedRequest:
    """Raises Fault 400."""
    fields = read_object(body)
    if fields is None:
        raise Fault(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            "aren't using your HTTP library correctly. The OpenAI API expects a JSON payload.)",
        )
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise Fault(400, "you must provide a model parameter")
    given = {name: value for name, value in fields.items() if value is not None}
    _check_fields(given)
    messages = _messages(given)
    texts = tuple(text for message in messages for text in _texts(message))
    user_texts = [_texts(message) for message in messages if message["role"] == "user"]
    questions = [user_text for user_text in user_texts if user_text]
    stop = given.get("stop", ())
    wants_json, schema = _json_output(given.get("response_format"), texts)
    tools, forced_tool = _tools(given)
    stream = given.get("stream", False)
    return SimulatedRequest(
        model=model,
        texts=texts,
        question="\n".join(questions[-1]) if questions else "",
        stream=stream,
        include_usage=not stream or given.get("stream_options", {}).get("include_usage") is True,
        n=given.get("n", 1),
        limit=given.get("max_completion_tokens", given.get("max_tokens")),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        tools=() if messages[-1]["role"] in ("tool", "function") else tools,
        forced_tool=forced_tool,
        parallel=given.get("parallel_tool_calls", True),
        wants_json=wants_json,
        schema=schema,
    )


def _check_fields(given: Mapping[str, Any]) -> None:
    for name, kind, expected in _TYPES:
        value = given.get(name)
        if value is None:
            continue
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise _wrong_type(name, expected, value)
    for name, low, high in (("n", 1, 128), ("max_tokens", 1, None), ("temperature", 0, 2),
                            ("max_completion_tokens", 1, None), ("top_p", 0, 1)):  # fmt: skip
        value = given.get(name)
        if value is None:
            continue
        if value < low:
            message = f"Invalid '{name}': below minimum value. Expected a value >= {low}, but got"
            raise _invalid(name, f"{message} {value} instead.", "below_min_value")
        if high is not None and value > high:
            message = f"Invalid '{name}': above maximum value. Expected a value <= {high}, but got"
            raise _invalid(name, f"{message} {value} instead.", "above_max_value")
    if "max_tokens" in given and "max_completion_tokens" in given:
        raise Fault(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            code="invalid_parameter_combination",
        )
    if "stream_options" in given and not given.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Fault(400, message, param="stream_options")


def _messages(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages = given.get("messages")
    if messages is None:
        raise _missing("messages")
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise _empty("messages")
    for place, message in enumerate(messages):
        _check_message(f"messages[{place}]", message)
    _check_tool_results(messages)
    return messages


def _check_message(where: str, message: Any) -> None:
    if not isinstance(message, dict):
        raise _wrong_type(where, "an object", message)
    role = message.get("role")
    if role is None:
        raise _missing(f"{where}.role")
    if role not in _ROLES:
        allowed = ", ".join(f"'{one}'" for one in _ROLES[:-1]) + f", and '{_ROLES[-1]}'"
        fault = f"Invalid value: '{role}'. Supported values are: {allowed}."
        raise _invalid(f"{where}.role", fault, "invalid_value")
    content = message.get("content")
    if content is None and role != "assistant":
        raise _wrong_type(f"{where}.content", "a string", content)
    if content is not None and not isinstance(content, str | list):
        raise _wrong_type(f"{where}.content", "one of a string or array of objects", content)
    for place, part in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(part, dict):
            raise _wrong_type(f"{where}.content[{place}]", "an object", part)
        if "type" not in part:
            raise _missing(f"{where}.content[{place}].type")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise _missing(f"{where}.tool_call_id")
    _check_calls(f"{where}.tool_calls", message.get("tool_calls"))


def _check_calls(where: str, calls: Any) -> None:
    if calls is not None and not isinstance(calls, list):
        raise _wrong_type(where, "an array of objects", calls)
    for place, call in enumerate(calls or ()):
        if not isinstance(call, dict):
            raise _wrong_type(f"{where}[{place}]", "an object", call)
        if not isinstance(call.get("id"), str):
            raise _missing(f"{where}[{place}].id")


def _check_tool_results(messages: Sequence[Mapping[str, Any]]) -> None:
    """Each tool call needs a result right after it, and vice versa."""
    unanswered: list[str] = []
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in unanswered:
                raise Fault(
                    400,
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceeding message with 'tool_calls'.",
                    param=f"messages.[{place}].role",
                )
            unanswered.remove(message["tool_call_id"])
            continue
        if unanswered:
            break
        unanswered = [call["id"] for call in message.get("tool_calls") or ()]
    if unanswered:
        raise Fault(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(unanswered),
            param="messages",
        )


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    texts = [part.get("text") for part in content or ()]
    return [text for text in texts if isinstance(text, str)]


def _json_output(
    response_format: Mapping[str, Any] | None, texts: Sequence[str]
) -> tuple[bool, Mapping[str, Any] | None]:
    kind = (response_format or {}).get("type", "text")
    if response_format is None or kind == "text":
        return False, None
    if kind == "json_object":
        if not any("json" in text.lower() for text in texts):
            raise Fault(
                400,
                "'messages' must contain the word 'json' in some form, to use 'response_format' "
                "of type 'json_object'.",
                param="messages",
            )
        return True, None
    if kind != "json_schema":
        message = f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', "
        raise _invalid("response_format.type", message + "and 'text'.", "invalid_value")
    json_schema = response_format.get("json_schema")
    for name in ("name", "schema"):
        if not isinstance(json_schema, dict) or name not in json_schema:
            raise _missing(f"response_format.json_schema.{name}")
    return True, json_schema["schema"] if isinstance(json_schema, dict) else None


def _tools(given: Mapping[str, Any]) -> tuple[tuple[Tool, ...], str | None]:
    declared, choice = given.get("tools"), given.get("tool_choice")
    if declared is None:
        if choice not in (None, "none"):
            message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools'"
            raise _invalid("tool_choice", f"{message} are specified.", None)
        return (), None
    if not declared:
        raise _empty("tools")
    tools = tuple(_tool(f"tools[{place}]", tool) for place, tool in enumerate(declared))
    if choice == "none":
        return (), None
    if isinstance(choice, dict) and choice.get("type") == "function":
        forced_tool = (choice.get("function") or {}).get("name")
        if forced_tool not in [tool.name for tool in tools]:
            message = f"Tool choice '{forced_tool}' not found in 'tools' parameter."
            raise _invalid("tool_choice", f"Invalid value for 'tool_choice': {message}", None)
        return tools, forced_tool
    return tools, None


def _tool(where: str, tool: Any) -> Tool:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        raise _missing(f"{where}.function")
    name = function.get("name")
    if not isinstance(name, str):
        raise _missing(f"{where}.function.name")
    if not _NAME.fullmatch(name):
        message = f"Invalid '{where}.function.name': string does not match pattern. Expected a "
        message += "string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        raise _invalid(f"{where}.function.name", message, "invalid_value")
    return Tool(name, function.get("parameters") or {"type": "object", "properties": {}})


def _missing(name: str) -> Fault:
    message = f"Missing required parameter: '{name}'."
    return Fault(400, message, param=name, code="missing_required_parameter")


def _empty(name: str) -> Fault:
    message = f"Invalid '{name}': empty array. Expected an array with minimum length 1, but got"
    return _invalid(name, f"{message} an empty array instead.", "empty_array")


def _invalid(name: str, message: str, code: str | None) -> Fault:
    return Fault(400, message, param=name, code=code)


def _wrong_type(name: str, expected: str, value: Any) -> Fault:
    kinds = {bool: "a boolean", int: "an integer", float: "a decimal", str: "a string",
             list: "an array", dict: "an object"}  # fmt: skip
    got = kinds.get(type(value), "null")
    message = f"Invalid type for '{name}': expected {expected}, but got {got} instead."
    return Fault(400, message, param=name, code="invalid_type")
