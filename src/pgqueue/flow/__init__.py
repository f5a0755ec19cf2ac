"""Limits of queues and flows: what programmers and operators write of them."""
