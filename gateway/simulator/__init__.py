"""Simulated providers: they speak the real wire formats and keep a bill of their own.

behaviours   what a model's name makes it do, as a table
simulated_request  the request, independent of the format
answers      the answer: deterministic
schemas      a value that satisfies a JSON Schema
format       the interface of a format
openai       and openai_requests: chat completions
anthropic    and anthropic_requests: messages
gemini       and gemini_requests: generateContent
  gemini_array   its streams as a JSON array
bedrock      and bedrock_requests: Converse
  bedrock_invoke  its `invoke`, with Anthropic's bodies
  eventstream    the binary messages of its streams
ollama       and ollama_requests: chat, as lines of JSON
vertex       Gemini on Vertex AI
anthropic_vertex  Claude on Vertex AI
azure        Azure OpenAI deployments
hosts        hosts with OpenAI-compatible APIs: each one's 429
bill         tokens, prices, and every call that was charged
client       the client side of one ASGI request
call         one call: what is sent and what is charged
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
