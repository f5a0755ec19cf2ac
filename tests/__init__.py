"""The tests. They wait on conditions, never for a time."""
