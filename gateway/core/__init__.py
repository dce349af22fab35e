"""Decide: functions from values to values. No I/O, no clock, no randomness.

    the request    chat, features, shape, searches, plain_messages, media, tokens, tags
    configuration  catalog, snapshot, changes, digest, ladder, patterns
    the caller     accounts, keys
    whom to call   rules, rule_traits, hours, plan, plans, order, first_rung
    observations   health, pace, prompt_caches, token_factors, learned
    what to call   strategy, strategies, judges
    the answer     flow, beside, assembly, checks, scripts, mending, agree, response_cache
    money          money, tariff, usage, billing, tab, periods, leases, calculator
    trials         trials, guard, guarded_plan
    the end        errors, refusals, reason, life_end
    observability  events, side_events, observers, histogram, life_log, records, redaction, explain
    outside        ports, packages

Begin with plan, strategy and ports.
"""
