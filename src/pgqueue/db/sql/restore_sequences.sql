-- Moves the sequences of ids and positions behind the highest ones that are there.
-- needs: nothing: it reads job as a whole, once after a restore
-- locks: nothing
select (select setval(':"schema".job_id_seq'::regclass, highest.id)
        from :"schema".job_id_seq,
             (select greatest((select max(id) from :"schema".job),
                              (select max(id) from :"schema".dead),
                              (select max(id) from :"schema".history)) as id) as highest
        where highest.id >= last_value + is_called::integer) as ids,
       (select setval(':"schema".position_seq'::regclass, highest.position)
        from :"schema".position_seq,
             (select max(position) as position from :"schema".job) as highest
        where highest.position >= last_value + is_called::integer) as positions
