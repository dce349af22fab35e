"""Rehearse: a policy against recorded answers of real models.

formats    finds the reader of a folder's format
records, recorded_tools   a folder of recorded answers
lives      the gateway's own log, with content
lineup     which recorded model stands for which of a route's
rehearse   drive the real plan, strategies and checks, with a record in place of each call
rehearse_guard   the same, watched by the guard
figures    accuracy, dollars, lift, each with its interval
sweep      the grid of a route's parameters
report     the figures as JSON and as a table
picture    the figures as an SVG
lessons    what can be learned from: recorded answers, or usage records
learn      weights for where a route should begin, and what they are worth
"""
