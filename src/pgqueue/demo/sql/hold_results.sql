-- Makes every write of a result wait for the end of this transaction.
-- needs: nothing
-- locks: the table of results, against writers
lock table pgqueue_demo.result in share mode
