"""The `ollama` dialect: Ollama's own chat, POST /api/chat, as JSON or as lines of JSON.

    request      a chat request to a body
      messages   turns, images, calls and their results
    reply        a whole answer
    stream       a streamed one: a JSON object a line
    faults       what a failed call means

Ollama's default window is small, and it cuts a longer prompt without a word: each call asks for one
that holds prompt and answer (`num_ctx`), unless the client says its own, as it may any other of
Ollama's options, by its name or in `options`.

Source: docs/api.md and api/types.go of github.com/ollama/ollama.
"""

from gateway.wire.ollama.reply import decode
from gateway.wire.ollama.request import auth, encode
from gateway.wire.ollama.stream import decoder

__all__ = ["auth", "decode", "decoder", "encode"]
