"""What `preflight` says, held against what the real engines do: states, predictions, real loads.

`states` builds homes by a table, `engines` asks real engines offline, `matrix` compares.
"""
