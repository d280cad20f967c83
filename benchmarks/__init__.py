"""How fast `cachedoctor` is beside its peers, on the same caches, in one run."""
