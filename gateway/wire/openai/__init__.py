"""The `openai` dialect: chat completions, as OpenAI and all who imitate it speak them.

`request` is what we send, `reply` a whole answer, `stream` a streamed one (with `choices`, what
it has said so far), `faults` errors. `strict` is what may be relayed as it is; `tolerant` reads
what may not.
"""

from gateway.wire.dialect import StreamDecoder, Target
from gateway.wire.openai import stream
from gateway.wire.openai.reply import decode
from gateway.wire.openai.request import auth, encode
from gateway.wire.whole import StreamOrWhole

__all__ = ["auth", "decode", "decoder", "encode"]


def decoder(target: Target) -> StreamDecoder:
    """For a streamed answer with status 200."""
    return StreamOrWhole(stream.decoder(target), lambda body: decode(200, {}, body, target))
