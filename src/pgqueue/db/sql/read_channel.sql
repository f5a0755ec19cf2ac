-- The name of the channel on which workers of this schema are woken.
-- needs: nothing
-- locks: nothing
select :"schema".channel()
