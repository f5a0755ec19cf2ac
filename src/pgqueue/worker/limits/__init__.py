"""Queues with limits: which of their jobs may begin here, and what to ask the database for."""
