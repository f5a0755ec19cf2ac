"""What the tests stand on: servers, faults, pools, and ways to wait."""
