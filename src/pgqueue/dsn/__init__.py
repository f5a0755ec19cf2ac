"""What a dsn says: taken apart as libpq does, checked, and shown without its passwords."""

from pgqueue.dsn.cells import cell_names, check_cells
from pgqueue.dsn.check import check_dsn, dsn_from_environment
from pgqueue.dsn.parameters import ENVIRONMENT, check_parameters
from pgqueue.dsn.passfile import find_password
from pgqueue.dsn.redact import redact, redact_text, without_passwords
from pgqueue.dsn.service import read_services
from pgqueue.dsn.text import parse

__all__ = [
    "ENVIRONMENT",
    "cell_names",
    "check_cells",
    "check_dsn",
    "check_parameters",
    "dsn_from_environment",
    "find_password",
    "parse",
    "read_services",
    "redact",
    "redact_text",
    "without_passwords",
]
