"""Choose what to change, changing nothing: a plan is a value, shown and asked about before it runs.

`cures` plans what cures findings.
"""
