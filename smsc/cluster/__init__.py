"""Several nodes that share one store and one configuration (docs/decisions/0009-nodes.md)."""
