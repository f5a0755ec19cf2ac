-- What a worker is told of a job that it claimed, beside arguments and metadata, which may be left out.
id, position, queue, priority, task, attempt, max_attempts, crash_count, timeout_seconds, tags, flow
