-- Tells also those workers that hear no single job. $1 what: see the function call.
-- needs: nothing
-- locks: nothing
select :"schema".call($1::text)
