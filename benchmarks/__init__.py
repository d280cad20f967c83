"""How fast `cachedoctor` is compared with its peers, on the same caches, in one run."""
