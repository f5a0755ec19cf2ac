-- Lets admissions of a flow act by what was changed. $1 flow, $2 its settings as they were.
-- needs: see flow_changed
-- locks: the row of the flow, its lines, and jobs that go back to their lines
select :"schema".flow_changed($1::text, $2::text::jsonb)
