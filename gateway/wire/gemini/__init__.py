"""generateContent of Gemini: AI Studio (v1beta) and Vertex AI (v1, v1beta1), which share bodies.

    request      a chat request to a generateContent body
      contents   turns and system instruction
      parts      one content part to one part
      tools      tools and tool_choice
      config     generationConfig: limits, sampling, thinking, response format
      schema     JSON schemas as the API accepts them
      generation what each generation of Gemini accepts
    reply        a whole answer
      candidate  what the parts of one candidate amount to
      grounding  the pages that it cites
    stream       a streamed answer
      array      the pieces of a stream that is one JSON array
    usage        token counts
    faults       what a failed call means

What has no OpenAI counterpart travels in fields of the assistant message and its tool calls:

    extra_content   on a tool call, as on Google's own OpenAI endpoint:
                    {"google": {"thought_signature": base64}}. Send it back as it came: Gemini 3
                    refuses a call without its signature. For clients that drop it the call's id
                    carries the signature as well (wire/signed_ids.py), and where neither came
                    back a call is sent with the signature that Google has for calls that Gemini
                    did not make itself.
                    on a message: {"google": {...}} with what there is of
                        thought_signature     of its text; send it back too, and
                        server_tool_parts     parts of tools that ran at the provider, and
                                              whatever is newer than this
                        grounding_metadata, url_context_metadata, citation_metadata
                        safety_ratings        where the answer was filtered
    images          pictures of the answer, as OpenAI's parts of type image_url

Pages that an answer rests on are OpenAI's own `annotations` as well.

In a stream these of the message come once, complete, with the finish reason.
"""

from gateway.wire.gemini.reply import decode
from gateway.wire.gemini.request import auth, encode
from gateway.wire.gemini.stream import decoder

__all__ = ["auth", "decode", "decoder", "encode"]
