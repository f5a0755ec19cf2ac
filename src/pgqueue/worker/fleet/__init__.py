"""One worker among others: the heartbeat, the rescue of lost workers, the duties."""
