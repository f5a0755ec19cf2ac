-- Forgets all that was done in this session; psycopg, which prepares nothing here, loses nothing.
-- needs: nothing
-- locks: nothing that another session could want
discard all
