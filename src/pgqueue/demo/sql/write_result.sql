-- Writes what a file holds, or why it could not be read.
-- $1 file, $2 bytes, $3 lines, $4 bytes when compressed, $5 digest, $6 why it could not be read.
-- locks: nothing
insert into pgqueue_demo.result (file_id, bytes, lines, compressed, digest, unreadable)
values ($1, $2, $3, $4, $5, $6)
