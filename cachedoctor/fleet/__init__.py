"""Many machines, and caches too large for one: on engines that exist, none of it scheduled here.

`cluster` looks at one cache with the workers of a Dask cluster that runs already.
"""
