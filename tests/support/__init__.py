"""What the tests build with: caches, weights, clients, servers, environments."""
