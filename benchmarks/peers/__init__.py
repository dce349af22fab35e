"""The gateways we are compared with: one worker each, no log, no database, as fast as their
documents tell how.
"""
