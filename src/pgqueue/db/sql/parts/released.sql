-- What makes a claimed job one that nobody has claimed.
worker_id = null, claim_token = null, claimed_at = null, quarantined = false
