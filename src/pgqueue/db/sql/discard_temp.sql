-- Drops the temporary tables of this session.
-- needs: nothing
-- locks: nothing that another session could want
discard temp
