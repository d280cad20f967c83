"""The manager's verbs, put together of plans, runs and verdicts.

`library` is what Python does and `asking` what it asks, `bringing` makes models ready and fetches
whole ones, `unpacking` puts carried models into the layouts of this machine.
"""
