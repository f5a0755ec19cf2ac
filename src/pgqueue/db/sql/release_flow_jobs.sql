-- Gives claimed jobs of flows back: as release_jobs. One that is due later leaves its slot, and its line, but
-- for an ordered flow: there its line is closed until it is due again.
-- $1 job ids in ascending order, $2 their claim tokens, $3 seconds until they are due (null: ready
-- now, at their old place, in their slot), $4 change of attempt (0 or -1), $5 error entry or null, $6 how many
-- error entries a job keeps, $7 the tokens that each used, or null where it did not say, $8 seconds for which
-- no job of the key, or of the whole flow, is admitted, or null, $9 whether of the whole flow.
-- Answers the ids released.
-- needs: the primary keys of job (see finish_jobs) and of flow
-- locks: the rows of these jobs, in the order of id
with back as (
    update :"schema".job
    set :released,
        position = case when receipt.delay is null then job.position end,
        run_at = case when receipt.delay is null then job.run_at
                      else clock_timestamp() + make_interval(secs => receipt.delay) end,
        rank = case when receipt.delay is null
                         or exists (select from :"schema".flow
                                    where flow.name = any (array[job.flow])
                                      and flow.settings @> '{"ordered": true}')
                    then job.rank else -abs(job.rank) end,
        attempt = job.attempt + receipt.change,
        began_at = case when receipt.delay is null or job.began_at < job.claimed_at then job.began_at end,
        errors = case when receipt.error is null then job.errors
                      else case when jsonb_array_length(job.errors) >= $6::integer then job.errors - 0
                                else coalesce(job.errors, '[]') end
                           || (receipt.error || jsonb_build_object('at', statement_timestamp(),
                                                 'claimed_at', job.claimed_at)) end
    from unnest($1::bigint[], $2::bigint[], $3::float8[], $4::integer[], $5::jsonb[], $7::float8[],
                $8::float8[], $9::boolean[])
         as receipt (id, token, delay, change, error, used, held, holds_flow)
    where job.id = any (array[receipt.id])
      and coalesce(job.claim_token, 0) = receipt.token
      and job.worker_id is not null
      and not job.cancel_requested
    returning job.id, job.flow, job.flow_key, job.position, job.rank, job.weight, receipt.used, receipt.held,
              receipt.holds_flow
),
told as (
    insert into :"schema".ticket (flow, key, rank, used, weight, held_until, holds_flow)
    select flow, flow_key, case when position is null and rank > 0 then rank end, used,
           case when used is not null then coalesce(weight, 1) end,
           clock_timestamp() + make_interval(secs => held), coalesce(holds_flow, false)
    from back
    where flow is not null and (position is null or used is not null or held is not null)
)
select id from back
