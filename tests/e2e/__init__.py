"""Real processes, real signals; what counts is what is in the database afterwards."""
