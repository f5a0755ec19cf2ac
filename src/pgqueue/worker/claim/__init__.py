"""When to claim, from which queues, and how many: up to the moment the jobs are here."""
