"""What `preflight` says, compared with what the real engines do: states, predictions, real loads.

`states` builds homes from a table, `engines` asks real engines offline, `matrix` compares.
"""
