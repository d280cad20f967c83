"""What `cachedoctor` survives: kills, damage, foreign bytes, hostile caches, each counted."""
