"""pgqueue: background jobs in the PostgreSQL that you already run."""
