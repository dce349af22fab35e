"""Tollgate: an OpenAI-compatible gateway. Cheap models first, better ones when needed.

A request goes one way, and each room has one duty:

    __main__         the command line; the only reader of the environment
    commands         two files a command: its options (_app), and what it does
    app              puts the rooms together; only it and stores name concrete drivers
    reload           another configuration while requests are served, whole or not at all
    stores           opens what money, keys and records are kept in
    web              serve: the HTTP door, keys, parsing, rendering, streams
    drivers          act: a room for each thing outside (upstream, ledger, redis, metrics...)
    simulator        pretend: providers that are not there; their wire formats, a bill of their own
    replay           rehearse: a policy against recorded answers; figures and pictures
    config           read: YAML files to one checked snapshot
    caching          the response cache: a life whose answer may have been given before
    background       what goes on behind the answers: audits of a guard, shadows
    handle           the life of a request. Read this first
    rounds           several calls at once: all of them, or a race
    external_checks  the checks that ask somebody: a test runner, another model
    watch            a streamed answer that is judged while it comes: it flows, or is cut
    hold             a call's ceiling is set aside before it is made
    call             one call to one provider: made, settled once, judged
    world            everything outside a request that its life needs
    outbox           what a turn of the event loop has to send goes out at its end, in order
    wire             translate: bytes <-> values, one module a dialect; pure
    core             decide: catalog, plan, strategy, checks, money; pure

Imports point downward only: __main__ > commands > app > reload > stores > web | drivers | simulator
| replay | config > background | caching > handle > external_checks | rounds | watch > hold > call >
world | wire | outbox > core.
"""

__version__ = "0.1.0"
