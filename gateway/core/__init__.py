"""Decide: functions from values to values. No I/O, no clock, no randomness.

    what is asked  chat, features, shape, searches, plain_messages, media, tokens, tags
    what there is  catalog, snapshot, changes, digest, ladder, patterns
    who asks       accounts, keys
    whom to ask    rules, rule_traits, hours, plan, plans, order, first_rung
    what was seen  health, pace, prompt_caches, token_factors, learned
    what to do     strategy, strategies, judges
    the answer     flow, beside, assembly, checks, scripts, mending, agree, response_cache
    money          money, tariff, usage, billing, tab, periods, leases, calculator
    trials         trials, guard, guarded_plan
    the end        errors, refusals, reason, life_end
    what is told   events, side_events, observers, histogram, life_log, records, redaction, explain
    the world      ports, packages

Begin with plan, strategy and ports.
"""
