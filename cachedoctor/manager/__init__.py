"""The manager's verbs, built from plans, runs and verdicts.

`library` has the verbs for Python and `asking` the questions, `bringing` makes models ready and
fetches whole ones, `unpacking` puts the models of a pack into the layouts of this machine.
"""
