"""Pretend: providers that are not there. Speaks their wire formats and keeps its own bill.

behaviours   what a model's name makes it do, as a table
asks         what is asked, whatever the format
answers      what is answered: the same each time
schemas      a value that satisfies a JSON Schema
format       what a format offers
openai       and openai_requests: chat completions
anthropic    and anthropic_requests: messages
gemini       and gemini_requests: generateContent
  gemini_array   its streams without server-sent events
bedrock      and bedrock_requests: Converse
  bedrock_invoke  its other door, with Anthropic's bodies
  eventstream    the binary messages of its streams
ollama       and ollama_requests: chat, as lines of JSON
vertex       Gemini on Vertex AI
anthropic_vertex  Claude there
azure        OpenAI's models at deployments
hosts        of APIs like OpenAI's: each one's 429
bill         tokens, prices, and every call that was charged
client       the other end of a request
call         the life of one call: what is sent and what is charged
app          the ASGI app
serving      the app on a socket
"""

from gateway.simulator.app import BASES, PLACES, Simulator
from gateway.simulator.bill import Bill, BilledCall, Price, price_of
from gateway.simulator.serving import Served, run_simulator, serve_simulator

__all__ = [
    "BASES",
    "PLACES",
    "Bill",
    "BilledCall",
    "Price",
    "Served",
    "Simulator",
    "price_of",
    "run_simulator",
    "serve_simulator",
]
