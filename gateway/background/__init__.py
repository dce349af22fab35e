"""What goes on behind the answers: the audits of a guard, and shadows. No client waits for it.

    auditor          of one life: who is to answer, what the answer was, and what follows it
    background_life  a life that no client sees; billed as audits
    runner           all of these at once: so many at most, and all settled at the end
    guards           what the guards have seen, as of a second ago; shared by all replicas

core/guard decides, core/guarded_plan.py says what that means for a plan. Nothing here changes an
answer, and nothing waits for a store: who answers is decided by what is in memory.
"""
