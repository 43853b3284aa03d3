{#- One row a source and day: what happened on it. -#}
select
  source, cast(occurred_at as date) as day,
  cast(sum(case when kind = 'delivered' then 1 else 0 end) as bigint) as delivered,
  cast(sum(case when kind = 'opened' and not coalesce(is_machine, false) then 1 else 0 end) as bigint) as opens,
  cast(sum(case when kind = 'opened' and is_machine then 1 else 0 end) as bigint) as machine_opens,
  cast(sum(case when kind = 'clicked' and not coalesce(is_machine, false) then 1 else 0 end) as bigint) as clicks,
  cast(sum(case when kind = 'clicked' and is_machine then 1 else 0 end) as bigint) as machine_clicks,
  cast(count(distinct case when kind = 'unsubscribed' then coalesce(unsubscribe_id, event_id) end) as bigint)
    as unsubscribes,
  cast(sum(case when kind = 'bounced' and bounce_type = 'hard' then 1 else 0 end) as bigint) as hard_bounces,
  cast(sum(case when kind = 'bounced' and coalesce(bounce_type, '') <> 'hard' then 1 else 0 end) as bigint)
    as soft_bounces,
  cast(sum(case when kind = 'spam' then 1 else 0 end) as bigint) as spam
from {{ ref('email_events') }}
where occurred_at is not null
group by 1, 2
