"""The `ollama` dialect: Ollama's own chat, POST /api/chat, as JSON or as lines of JSON.

    request      a chat request to a body
      messages   turns, images, calls and their results
    reply        a whole answer
    stream       a streamed one: a JSON object a line
    faults       what a failed call means

Ollama's default context window is small, and it silently truncates longer prompts. So each call
sets `num_ctx` large enough for prompt and answer, unless the client sets it, as it may set any
other of Ollama's options, by name or in `options`.

Source: docs/api.md and api/types.go of github.com/ollama/ollama.
"""

from gateway.wire.ollama.reply import decode
from gateway.wire.ollama.request import auth, encode
from gateway.wire.ollama.stream import decoder

__all__ = ["auth", "decode", "decoder", "encode"]
