"""One call to a simulated model: what is sent, and what is charged.

A refusal, an error and a reset before any byte cost nothing. A client that disconnects before the
headers pays for the prompt. After that the prompt and the answer sent so far are charged, whether
or not a usage is reported.
"""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.simulator.answers import Answer
from gateway.simulator.behaviours import FAILURES, behaviour_of, interruption_of
from gateway.simulator.bill import Bill, BilledCall, cost_of, tokens_in, tokens_of
from gateway.simulator.client import Client
from gateway.simulator.format import Format, Frame, Reply
from gateway.simulator.simulated_request import Fault, SimulatedRequest

_PIECES_BEFORE_BREAK = 3
"""Pieces of an answer sent before it stalls or breaks; at least one is never sent."""
_DRAIN_S = 0.01
"""Time for the client to read what was sent: a reset discards the rest."""
_PROXY_PAGE = b"""<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body>\r
<center><h1>502 Bad Gateway</h1></center>\r
</body>\r
</html>\r
"""
"""The error page of a proxy in front of the provider."""
_BAD_REQUEST_ERRORS: Final = (Fault, AttributeError, LookupError, TypeError, ValueError)
"""Raised by parsing and answering: a Fault, or another error for JSON of unexpected types.
"""
_BREAKING = ("stallmid", "resetmid", "errormid")
AnswerFunction = Callable[[SimulatedRequest, str], Answer]
"""(request, behaviour) to the model's answer."""


class Pace:
    """Seconds between two pieces of a stream, and before the first byte of a slow answer."""

    def __init__(self, pause_s: float, slow_s: float) -> None:
        self.pause_s = pause_s
        self.slow_s = slow_s

    async def before_slow(self, client: Client) -> bool:
        """Waits; returns whether the client has disconnected meanwhile."""
        return await client.wait(self.slow_s)


class Call:
    """`params` are the path and query parameters; `seen_before` says whether a prompt came before,
    and remembers it.
    """

    def __init__(
        self,
        number: int,
        wire: Format,
        params: Mapping[str, str],
        bill: Bill,
        pace: Pace,
        seen_before: Callable[[bytes], bool],
        answers: AnswerFunction,
    ) -> None:
        self._number = number
        self._wire = wire
        self._params = params
        self._bill = bill
        self._pace = pace
        self._seen_before = seen_before
        self._answers = answers
        self._id = f"req_{number:010d}"
        self._behaviour = "right"
        self._prompt_tokens = 0
        self._model = ""

    async def serve(self, client: Client) -> None:
        try:
            request = self._wire.read(client.body, client.headers, self._params)
            self._model = request.model
            self._behaviour = behaviour_of(request.model)
            self._prompt_tokens = tokens_of(request.texts)
            self._fail_on_purpose(request)
            reply = self._reply(request)
        except _BAD_REQUEST_ERRORS as error:
            self._bill.unbilled += 1
            invalid = Fault(400, "A value of the request is of a type that it cannot have.")
            await self._refuse(client, error if isinstance(error, Fault) else invalid)
            return
        behaviour = self._behaviour
        if behaviour == "reset" or (behaviour == "resetmid" and not request.stream):
            self._bill.unbilled += 1
            await client.reset()
            return
        stalls = behaviour == "stall" and await client.wait()
        if stalls or (behaviour == "slow" and await self._pace.before_slow(client)):
            self._charge(status=None)
            return
        if request.stream:
            await self._stream(client, reply)
        else:
            await self._send_whole(client, reply)

    async def _refuse(self, client: Client, fault: Fault) -> None:
        if fault.status == 502:
            await client.reply(502, {"content-type": "text/html"}, _PROXY_PAGE)
            return
        headers = self._wire.headers(self._id, fault.status)
        await client.reply(fault.status, headers, self._wire.error(fault, self._id))

    def _fail_on_purpose(self, request: SimulatedRequest) -> None:
        status = FAILURES.get(self._behaviour)
        if self._behaviour == "errormid" and not request.stream:
            status = interruption_of(request.model) or 529
        if self._behaviour == "flaky":
            prompt = "\0".join((self._wire.name(), request.model, *request.texts)).encode()
            status = None if self._seen_before(prompt) else 500
        if status is not None:
            raise self._wire.failure(status, request.model)

    def _reply(self, request: SimulatedRequest) -> Reply:
        answers = (self._answers(request, self._behaviour),) * request.n
        return Reply(
            number=self._number,
            request=request,
            answers=answers,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=tokens_in(sum(answer.size for answer in answers)),
            reports_usage=self._behaviour != "nousage",
        )

    async def _send_whole(self, client: Client, reply: Reply) -> None:
        body = self._wire.whole(reply)
        headers = self._wire.headers(self._id, 200)
        if self._behaviour == "stallmid":
            length = {"content-type": "application/json", "content-length": str(len(body))}
            await client.start(200, headers | length)
            await client.write(body[: len(body) // 2])
            await client.wait()
            self._charge()
            return
        # Charged before it is sent, so that a client with the answer finds it on the bill.
        self._charge(reply.completion_tokens, whole=True)
        await client.reply(200, headers, body)

    async def _stream(self, client: Client, reply: Reply) -> None:
        frames = self._wire.frames(reply)
        headers = {"content-type": self._wire.stream_media_type(), "cache-control": "no-cache"}
        await client.start(200, self._wire.headers(self._id, 200) | headers)
        breaks = self._behaviour in _BREAKING
        body = [frame for frame in frames if frame.part == "answer"]
        sent = 0
        for frame in _before_break(body) if breaks else body:
            await client.write(frame.data)
            sent += frame.size
            if await client.wait(self._pace.pause_s):
                break
        if self._behaviour == "stallmid":
            await client.wait()
        elif self._behaviour == "resetmid":
            await client.wait(_DRAIN_S)
        ends = self._behaviour != "noend" and not breaks
        self._charge(tokens_in(sent), whole=ends and not client.disconnected)
        if client.disconnected:
            return
        if self._behaviour == "errormid":
            await client.write(self._interruption(), more=False)
            return
        if breaks:
            await client.reset()
            return
        for frame in frames if ends else ():
            if frame.part == "end":
                await client.write(frame.data)
        await client.write(b"", more=False)

    def _interruption(self) -> bytes:
        status = interruption_of(self._model)
        fault = None if status is None else self._wire.failure(status, self._model)
        return self._wire.interruption(self._id, fault)

    def _charge(
        self, completion_tokens: int = 0, *, status: int | None = 200, whole: bool = False
    ) -> None:
        host = self._wire.name()
        self._bill.record(
            BilledCall(
                id=self._id,
                format=host,
                model=self._model,
                behaviour=self._behaviour,
                prompt_tokens=self._prompt_tokens,
                completion_tokens=completion_tokens,
                cost=cost_of(self._model, self._prompt_tokens, completion_tokens, host),
                status=status,
                whole=whole,
            )
        )


def _before_break(frames: list[Frame]) -> list[Frame]:
    """The frames that are sent before a break."""
    places = [place for place, frame in enumerate(frames) if frame.size]
    last = max(1, min(_PIECES_BEFORE_BREAK, len(places) - 1))
    return frames[: places[last - 1] + 1] if places else frames
