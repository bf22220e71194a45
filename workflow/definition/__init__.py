"""The state machine's definition: the graph, its Amazon States Language, and its review."""
