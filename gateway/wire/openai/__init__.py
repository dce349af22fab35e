"""The `openai` dialect: chat completions of OpenAI and of hosts with a compatible API.

`request` encodes requests, `reply` decodes a whole answer, `stream` a streamed one (`choices` is
its state), `usage` what was counted, `reported_cost` what it cost, `faults` errors. `strict` has
the types of what may be relayed unchanged; `tolerant` parses what may not.
"""

from gateway.wire.dialect import StreamDecoder, Target
from gateway.wire.openai import stream
from gateway.wire.openai.reply import decode
from gateway.wire.openai.request import auth, encode
from gateway.wire.whole import StreamOrWhole

__all__ = ["auth", "decode", "decoder", "encode"]


def decoder(target: Target) -> StreamDecoder:
    """A decoder for a streamed answer with status 200."""
    return StreamOrWhole(stream.decoder(target), lambda body: decode(200, {}, body, target))
