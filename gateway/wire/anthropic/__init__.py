"""The Messages API of Anthropic, version 2023-06-01: requests out, replies and streams in.

    request      a chat request to a Messages body
      messages   turns and system instructions
      parts      one content part to one block
      tools      tools and tool_choice
      thinking   reasoning effort and sampling
      schema     JSON schemas as the API accepts them
      generation what each generation of Claude accepts
    reply        a whole answer
    stream       a streamed answer
      blocks     the content blocks of a stream
    usage        token counts
    faults       what a failed call means

What has no OpenAI counterpart travels in fields of the assistant message, both ways where
the client sends them back:

    thinking_blocks     [{"type": "thinking", "thinking": ..., "signature": ...}
                         | {"type": "redacted_thinking", "data": ...}]
                        Send them back unchanged with the message they came with: a turn that
                        thinks and calls tools cannot continue without them. One that came after
                        text or calls of its answer has a field `after` with its position; see
                        wire/thoughts.py.
    server_tool_blocks  blocks of tools that ran at the provider, and of context compaction
                        (answers only: to send them back, put them among the parts of the message,
                        where they stood)
    citations           Anthropic's citation objects, in order (answers only)

A call of one of a set of Anthropic's tools (`browser_toolset_...`) has a field `toolset_name`, one
that code at Anthropic made a `caller`, which go back with it. Beside its choices an answer has
`container`, where that code waits, and `context_management`.

Pages among the citations are OpenAI's own `annotations` as well.

In a stream each of them comes once, complete, with the finish reason.
"""

from gateway.wire.anthropic.reply import decode
from gateway.wire.anthropic.request import auth, encode
from gateway.wire.anthropic.stream import decoder

__all__ = ["auth", "decode", "decoder", "encode"]
