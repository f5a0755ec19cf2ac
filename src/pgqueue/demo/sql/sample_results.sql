-- Picks results to be compared with their files again.
-- $1 how many at most.
-- needs: nothing: it reads all results
-- locks: nothing
select file.path, result.digest
from pgqueue_demo.result
     join pgqueue_demo.file on file.id = result.file_id
where result.digest is not null
order by result.digest
limit $1
