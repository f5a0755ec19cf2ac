-- Writes the tickets that are missing: see the function heal_lines.
-- Answers flows, and of how many of their keys one was missing.
-- needs: job_line, line_key, ticket_flow
-- locks: nothing
select flow, keys from :"schema".heal_lines()
