"""SAQ over Redis: the program is the one for PostgreSQL, the dsn says which."""

from __future__ import annotations

import common
from use_saq import Peer

if __name__ == "__main__":
    common.main(Peer())
