"""OpenAI's Python SDK in its strict mode, as a judge of what we send to clients."""

import httpx2
import openai as sdk


def strict_client(body: bytes, content_type: str) -> sdk.OpenAI:
    answer = httpx2.Response(200, content=body, headers={"content-type": content_type})
    return sdk.OpenAI(
        base_url="http://gateway.test/v1",
        api_key="k",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(lambda _: answer)),
        _strict_response_validation=True,
    )


def ask(body: bytes) -> sdk.types.chat.ChatCompletion:
    with strict_client(body, "application/json") as client:
        return client.chat.completions.create(model="auto", messages=[])


def ask_streaming(body: bytes) -> list[sdk.types.chat.ChatCompletionChunk]:
    with strict_client(body, "text/event-stream") as client:
        return list(client.chat.completions.create(model="auto", messages=[], stream=True))
