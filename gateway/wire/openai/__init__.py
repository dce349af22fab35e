"""The `openai` dialect: chat completions, as OpenAI and all who imitate it speak them.

`request` is what we send, `reply` a whole answer, `stream` a streamed one (with `choices`, what
it has said so far), `faults` errors. `strict` is what may be relayed as it is; `tolerant` reads
what may not.
"""

from gateway.wire.openai.reply import decode
from gateway.wire.openai.request import auth, encode
from gateway.wire.openai.stream import decoder

__all__ = ["auth", "decode", "decoder", "encode"]
