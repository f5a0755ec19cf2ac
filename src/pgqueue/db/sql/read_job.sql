-- A job that this worker has claimed, as one JSON document, for a driver whose conversions are not
-- known: arguments and metadata are texts in it.
-- $1 job id, $2 the token of its claim.
-- needs: the primary key of job
-- locks: nothing
select row_to_json(claimed)::text
from (
    select :claimed_columns, args::text as args, metadata::text as metadata,
           date_part('epoch', enqueued_at) as enqueued_epoch,
           case when cancel_requested then 'cancelled'
                when began_at is not null then 'interrupted'
                when expires_at <= claimed_at then 'expired' end as refused
    from :"schema".job
    where id = $1::bigint and claim_token = $2::bigint
) as claimed
