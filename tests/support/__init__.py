"""What the tests build on: caches, weights, clients, servers, environments."""
