"""Reads files of sales into PostgreSQL: a job for each file."""
