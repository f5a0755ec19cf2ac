-- A ticket for each key of which jobs are gone, and one more for each that said what it used.
insert into :"schema".ticket (flow, key, used, weight)
select flow, flow_key, pg_catalog.max(used),
       pg_catalog.max(case when used is not null then coalesce(weight, 1) end)
from gone
where flow is not null
group by flow, flow_key, case when used is not null then id end
