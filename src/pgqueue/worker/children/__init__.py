"""Child processes of a worker, which run jobs of tasks with ``executor="process"``."""
