-- Makes every write of a result wait for the end of this transaction.
-- locks: the table of results, against writers
lock table pgqueue_demo.result in share mode
