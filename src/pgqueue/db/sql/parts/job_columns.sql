-- What a job has from when it was enqueued. It has the same once it is ready again after its end.
:plain_columns, flow, flow_key, weight
