"""One suite for every connection that a caller may bring."""
