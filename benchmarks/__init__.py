"""How fast pgqueue and its peers are, measured in turn on one PostgreSQL: `make bench`."""
