"""``python -m chaos.worker CONFIG``: a supervisor with short leases, on the campaign's app."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from chaos import mutants
from pgqueue.observe.logs import configure
from pgqueue.supervisor.supervisor import Supervisor

__all__ = ["main"]


def main() -> int:
    config: dict[str, Any] = json.loads(sys.argv[1])
    os.environ["CHAOS_CONFIG"] = json.dumps(config)
    mutants.apply(os.environ.get("CHAOS_MUTANT"))
    configure("warning", "text")
    return Supervisor(
        "chaos.tasks:app",
        settings=config["settings"],
        processes=config["processes"],
        dsn=config["dsn"],
        log_level="warning",
    ).run()


if __name__ == "__main__":
    sys.exit(main())
