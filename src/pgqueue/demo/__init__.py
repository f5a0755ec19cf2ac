"""The demonstration: real work on real files, a poison, a killed worker, and a check in SQL."""
