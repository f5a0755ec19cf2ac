-- Makes the row of a flow that nobody has declared yet, if it has jobs. $1 flow.
-- needs: the primary key of flow, job_line, job_admitted
-- locks: nothing but the new row
insert into :"schema".flow (name)
select $1::text
where exists (select from :"schema".job
              where job.flow = $1::text and job.flow is not null and job.position is null and job.rank > 0)
   or exists (select from :"schema".job
              where job.flow = $1::text and job.flow is not null and job.position is not null)
on conflict (name) do nothing
