-- What a job has from when it was enqueued. It has the same once it is ready again after its end.
id, enqueued_at, max_attempts, timeout_seconds, priority, queue, task, args, unique_key, tags, metadata,
flow, flow_key, weight
