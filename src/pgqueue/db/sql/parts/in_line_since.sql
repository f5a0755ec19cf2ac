-- When a job came in line, in seconds since 1970: its rank says so, but not in an ordered flow.
case when job.rank > 1152921504606846976
          and not exists (select from :"schema".flow as its_flow
                          where its_flow.name = job.flow and (its_flow.settings ->> 'ordered')::boolean)
     then (job.rank >> 21) / 1000.0 - job.priority * 60
     else extract(epoch from job.enqueued_at) end
