"""Gemini's generateContent, from the provider's side: parsing and validation of requests.

Error messages are those of the real API where recordings or its documentation have them. Fields
are accepted by their JSON and their protobuf names: maxOutputTokens and max_output_tokens.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.simulator.format import compact, read_object
from gateway.simulator.simulated_request import Fault, SimulatedRequest, Tool

_FIELDS: Final = frozenset({
    "cachedContent", "contents", "generationConfig", "labels", "model", "modelArmorConfig",
    "safetySettings", "store", "systemInstruction", "toolConfig", "tools",
})  # fmt: skip
_CONFIG_FIELDS: Final = frozenset({
    "audioTimestamp", "candidateCount", "enableAffectiveDialog", "enableEnhancedCivicAnswers",
    "frequencyPenalty", "imageConfig", "logprobs", "maxOutputTokens", "mediaResolution",
    "presencePenalty", "responseFormat", "responseJsonSchema", "responseLogprobs",
    "responseMimeType", "responseModalities", "responseSchema", "routingConfig", "seed",
    "speechConfig", "stopSequences", "temperature", "thinkingConfig", "topK", "topP",
})  # fmt: skip
_DATA: Final = frozenset({
    "codeExecutionResult", "executableCode", "fileData", "functionCall", "functionResponse",
    "inlineData", "text", "toolCall", "toolResponse",
})  # fmt: skip
_RANGES: Final = (
    ("temperature", (int, float), 0, 2),
    ("topP", (int, float), 0, 1),
    ("maxOutputTokens", int, 1, 2**31 - 1),
    ("candidateCount", int, 1, 8),
)
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_SNAKE: Final = re.compile(r"_([a-z])")


def read(body: bytes, headers: Mapping[str, str], params: Mapping[str, str]) -> SimulatedRequest:
    """Raises Fault 400."""
    fields = read_object(body)
    if fields is None:
        raise _invalid_argument("Invalid JSON payload received. Expected an object.")
    given = _known_fields(fields, _FIELDS, "")
    settings = _known_fields(
        given.get("generationConfig") or {}, _CONFIG_FIELDS, " at 'generation_config'"
    )
    _check_settings(settings)
    contents = _contents(given.get("contents"))
    system = (given.get("systemInstruction") or {}).get("parts") or ()
    user_texts = [_plain_texts(each["parts"]) for each in contents if each.get("role") != "model"]
    questions = [texts for texts in user_texts if texts]
    tools, forced_tool = _tools(given)
    wants_json = settings.get("responseMimeType") == "application/json"
    if wants_json and tools:
        message = "Function calling with a response mime type: 'application/json' is unsupported"
        raise _invalid_argument(message)
    return SimulatedRequest(
        model=params["model"],
        texts=(*_texts(system), *(text for each in contents for text in _texts(each["parts"]))),
        question="\n".join(questions[-1]) if questions else "",
        stream=params["verb"] == "streamGenerateContent",
        n=settings.get("candidateCount", 1),
        limit=settings.get("maxOutputTokens"),
        stop=tuple(settings.get("stopSequences", ())),
        tools=() if _count_parts(contents[-1], "functionResponse") else tools,
        forced_tool=forced_tool,
        wants_json=wants_json,
        schema=settings.get("responseJsonSchema")
        or _with_lower_types(settings.get("responseSchema")),
    )


def _invalid_argument(message: str) -> Fault:
    return Fault(400, message, "INVALID_ARGUMENT")


def _required(where: str, message: str) -> Fault:
    return _invalid_argument(f"* GenerateContentRequest.{where}: {message}\n")


def _camel(name: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), name)


def _known_fields(given: Any, names: frozenset[str], where: str) -> dict[str, Any]:
    """The fields by their JSON names. Raises Fault for unknown ones."""
    if not isinstance(given, dict):
        raise _invalid_argument(f"Invalid value{where}, an object is expected")
    for name in given:
        if _camel(name) not in names:
            message = f'Invalid JSON payload received. Unknown name "{name}"{where}: '
            raise _invalid_argument(f"{message}Cannot find field.")
    return {_camel(name): value for name, value in given.items() if value is not None}


def _check_settings(settings: Mapping[str, Any]) -> None:
    for name, kind, low, high in _RANGES:
        value = settings.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, kind):
            raise _invalid_argument(
                f"Invalid value at 'generation_config.{name}', {compact(value)}"
            )
        if not low <= value <= high:
            message = f"{name} must be in the range [{low}, {high}]."
            raise _required(f"generation_config.{name}", message)


def _contents(contents: Any) -> list[dict[str, Any]]:
    if not isinstance(contents, list) or not contents:
        raise _required("contents", "contents is not specified")
    for at, content in enumerate(contents):
        where = f"contents[{at}].parts"
        parts = content.get("parts") if isinstance(content, dict) else None
        if not isinstance(parts, list) or not parts:
            raise _required(where, "contents.parts must not be empty.")
        if content.get("role", "user") not in ("user", "model", "function"):
            raise _invalid_argument("Please use a valid role: user, model.")
        for place, part in enumerate(parts):
            parts[place] = _part(f"{where}[{place}]", part)
    _check_calls(contents)
    return contents


def _part(where: str, part: Any) -> dict[str, Any]:
    """A part by its JSON names. Exactly one of its fields may be in _DATA."""
    fields = {_camel(name): value for name, value in part.items()} if isinstance(part, dict) else {}
    data = fields.keys() & _DATA
    signed = fields.get("thoughtSignature")
    blank = fields.get("text") == ""
    if len(data) > 1 or not (signed or (data and not blank)):
        message = "required oneof field 'data' must have one initialized field"
        raise _required(f"{where}.data", message)
    for kind, needed in (("functionCall", "args"), ("functionResponse", "response")):
        content = fields.get(kind, {})
        if not isinstance(content, dict) or not isinstance(content.get(needed, {}), dict):
            raise _invalid_argument(
                f"Invalid value at '{where}.{kind}.{needed}' (type.googleapis.com/"
                "google.protobuf.Struct)"
            )
        if kind in fields and not content.get("name"):
            raise _required(f"{where}.{kind}.name", "Name cannot be empty.")
    return fields


def _check_calls(contents: Sequence[Mapping[str, Any]]) -> None:
    """Calls must follow a user turn, and as many results must follow them."""
    calls = 0
    for at, content in enumerate(contents):
        results = _count_parts(content, "functionResponse")
        if calls != results:
            raise _invalid_argument(
                "Please ensure that the number of function response parts is equal to the number "
                "of function call parts of the function call turn."
            )
        calls = _count_parts(content, "functionCall")
        if calls and (at == 0 or contents[at - 1].get("role") == "model"):
            raise _invalid_argument(
                "Please ensure that function call turn comes immediately after a user turn or "
                "after a function response turn."
            )


def _count_parts(content: Mapping[str, Any], kind: str) -> int:
    return sum(kind in part for part in content["parts"])


def _tools(given: Mapping[str, Any]) -> tuple[tuple[Tool, ...], str | None]:
    declared = [
        function
        for tool in given.get("tools") or ()
        for function in tool.get("functionDeclarations", tool.get("function_declarations")) or ()
    ]
    tools = tuple(_tool(at, function) for at, function in enumerate(declared))
    config = given.get("toolConfig") or {}
    config = config.get("functionCallingConfig", config.get("function_calling_config")) or {}
    mode = config.get("mode", "AUTO")
    names = config.get("allowedFunctionNames", config.get("allowed_function_names")) or []
    if not tools:
        if mode == "ANY":
            raise _invalid_argument("Function calling config is set without function_declarations.")
        return (), None
    if mode not in ("AUTO", "ANY", "NONE", "VALIDATED"):
        place = "tool_config.function_calling_config.mode"
        raise _invalid_argument(f"Invalid value at '{place}', {compact(mode)}")
    if names and mode not in ("ANY", "VALIDATED"):
        raise _invalid_argument(
            "Allowed function names are only accepted with the mode ANY or VALIDATED."
        )
    if unknown := [name for name in names if name not in [tool.name for tool in tools]]:
        message = "allowed_function_names should be a subset of function_declarations, but found"
        raise _invalid_argument(f"{message} {unknown[0]}.")
    if mode == "NONE":
        return (), None
    allowed = tuple(tool for tool in tools if not names or tool.name in names)
    return allowed, names[0] if len(names) == 1 and mode == "ANY" else None


def _tool(at: int, function: Any) -> Tool:
    fields = {_camel(name): value for name, value in function.items()}
    name = fields.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _required(
            f"tools[0].function_declarations[{at}].name",
            "[INVALID_ARGUMENT] Invalid function name. Must start with a letter or an underscore. "
            "Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or "
            "dashes (-), with a maximum length of 128.",
        )
    schema = fields.get("parametersJsonSchema") or _with_lower_types(fields.get("parameters"))
    return Tool(name, schema or {"type": "object", "properties": {}})


def _with_lower_types(schema: Any) -> Any:
    """A schema of the API's own kind, whose types are in capitals, as a JSON Schema."""
    if isinstance(schema, list):
        return [_with_lower_types(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    lowered = {name: _with_lower_types(value) for name, value in schema.items()}
    if isinstance(schema.get("type"), str):
        lowered["type"] = schema["type"].lower()
    return lowered


def _plain_texts(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    return [part["text"] for part in parts if part.get("text")]


def _texts(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    texts: list[str] = []
    for part in parts:
        if "functionResponse" in part:
            texts.append(_result(part["functionResponse"].get("response") or {}))
        else:
            texts += _plain_texts([part])
    return texts


def _result(response: Mapping[str, Any]) -> str:
    """A tool's output: the text of {"result": text}, else the object as JSON."""
    if response.keys() == {"result"} and isinstance(response["result"], str):
        return str(response["result"])
    return compact(response)
