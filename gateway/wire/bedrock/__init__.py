"""AWS Bedrock: Converse and ConverseStream, and `invoke` with bodies of the Messages API.

    request      a chat request to a Converse body
      messages   turns and system instructions
      turns      the API's rules for turns: roles alternate, what may be combined
      parts      one content part to content blocks
      tools      tools and tool_choice
      extras     what only some models accept: thinking, sampling, JSON schemas
      schema     which JSON schemas can be enforced
      models     what each family of models accepts
    reply        a whole answer
    stream       a streamed answer
      events     its events, from the messages of an event stream
      blocks     its content blocks
    usage        token counts
    faults       what a failed call, or an exception in a stream, means
    invoke       `invoke`: the model's own body, in Bedrock's frame
      completions  bodies of text completion models

What has no OpenAI counterpart travels in fields of the assistant message:

    thinking_blocks     [{"type": "thinking", "thinking": ..., "signature": ...}
                         | {"type": "redacted_thinking", "data": ...}]
                        Both ways: send them back unchanged with the message they came with. They
                        are as Anthropic's own API has them, so either may continue the other's.
                        What OpenAI's and xAI's models thought is encrypted, and no other vendor's
                        model is sent it:
                        {"type": "redacted_content", "vendor": "openai", "data": base64}
    server_tool_blocks  blocks of tools that ran at the provider (answers only)
    citations           citation objects, in order (answers only)

Beside its choices an answer has `additionalModelResponseFields` and the `trace` of a guardrail,
where the client asked for them.

Pages among the citations are OpenAI's own `annotations` as well.

In a stream each of them comes once, complete, with the finish reason.
"""

from gateway.wire.bedrock.invoke import Invoke
from gateway.wire.bedrock.reply import decode
from gateway.wire.bedrock.request import auth, encode
from gateway.wire.bedrock.stream import decoder

__all__ = ["Invoke", "auth", "decode", "decoder", "encode"]
