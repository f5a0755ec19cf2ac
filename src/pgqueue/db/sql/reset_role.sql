-- Takes back whatever role the session took on: reset all does not.
-- needs: nothing
-- locks: nothing
set session authorization default
