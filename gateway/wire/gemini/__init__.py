"""generateContent of Gemini: AI Studio (v1beta) and Vertex AI (v1, v1beta1), which share bodies.

    request      a chat request to a generateContent body
      contents   turns and system instruction
      parts      one content part to one part
      tools      tools and tool_choice
      config     generationConfig: limits, sampling, thinking, response format
      schema     JSON schemas as the API accepts them
      generation what each generation of Gemini accepts
    reply        a whole answer
      candidate  one candidate, from its parts
      grounding  the web pages it cites
    stream       a streamed answer
      array      parser for a stream that is one JSON array
    usage        token counts
    faults       what a failed call means

What has no OpenAI counterpart travels in fields of the assistant message and its tool calls:

    extra_content   on a tool call, as on Google's own OpenAI endpoint:
                    {"google": {"thought_signature": base64}}. Send it back as it came: Gemini 3
                    refuses a call without its signature. For clients that drop it the call's id
                    contains the signature as well (wire/signed_ids.py). If neither comes back,
                    the call gets the placeholder that Google documents for calls that Gemini
                    did not make itself.
                    on a message: {"google": {...}} with, where present,
                        thought_signature     of its text; send it back too, and
                        server_tool_parts     parts of tools that ran at the provider, and
                                              unknown parts
                        grounding_metadata, url_context_metadata, citation_metadata
                        safety_ratings        where the answer was filtered
    images          pictures of the answer, as OpenAI's parts of type image_url, each with its
                    `extra_content`. Send them back: models that draw are shown them again.

Cited pages are also in OpenAI's own `annotations`.

In a stream the message fields come once, complete, with the finish reason.
"""

from gateway.wire.gemini.reply import decode
from gateway.wire.gemini.request import auth, encode
from gateway.wire.gemini.stream import decoder

__all__ = ["auth", "decode", "decoder", "encode"]
