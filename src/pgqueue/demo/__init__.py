"""The demonstration: real work for two tenants, a poison, a killed worker, and a check in SQL."""
