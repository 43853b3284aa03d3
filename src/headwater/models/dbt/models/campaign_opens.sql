{#- One row a campaign and who opened: people, each kind of machine, and what nobody can tell. -#}
select
  source, campaign_id,
  case when is_machine is null then 'unknown' when is_machine then coalesce(machine_reason, 'machine') else 'human' end
    as opened_by,
  cast(count(distinct recipient) as bigint) as recipients,
  cast(sum(occurrences) as bigint) as opens,
  min(occurred_at) as first_opened_at
from {{ ref('email_events') }}
where kind = 'opened' and campaign_id is not null
group by 1, 2, 3
