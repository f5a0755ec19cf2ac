-- What a job without a flow has from when it was enqueued.
id, enqueued_at, max_attempts, timeout_seconds, priority, queue, task, args, unique_key, tags, metadata
