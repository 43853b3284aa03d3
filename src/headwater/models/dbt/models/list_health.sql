{#- One row a source and list, and one for all contacts of a source (`list_id` is '*'): how many can still be reached,
    and when they last read something, seen from the newest event of the source; one of a clock that runs ahead is as new
    as its arrival. -#}
with events as (
  select source, recipient, kind, occurred_at, list_ids, bounce_type, coalesce(is_machine, false) as is_machine,
    least(occurred_at, received_at) as known_at
  from {{ ref('email_events') }}
  where recipient is not null and occurred_at is not null
),

newest as (
  select source, max(known_at) as as_of from events group by source
),

memberships as (
  select source, '*' as list_id, recipient from events group by source, recipient
  union all
  select source, list_id, recipient
  from (
    select events.source, events.recipient, listed.list_id
    from (select distinct source, recipient, list_ids from events where list_ids is not null) as events
    cross join lateral {{ headwater_listed('events.list_ids') }}
  ) as on_lists
  where list_id is not null and list_id <> ''
  group by source, list_id, recipient
),

contacts as (
  select
    source, recipient,
    max(case when kind = 'delivered' then occurred_at end) as delivered_at,
    max(case when kind in ('opened', 'clicked') and not is_machine then occurred_at end) as read_at,
    max(case when kind = 'unsubscribed' then 1 else 0 end) as unsubscribed,
    max(case when kind = 'bounced' and bounce_type = 'hard' then 1 else 0 end) as bounced,
    max(case when kind = 'spam' then 1 else 0 end) as spam
  from events
  group by source, recipient
),

left_lists as (
  select events.source, events.recipient, listed.list_id
  from (select distinct source, recipient, list_ids from events where kind = 'unsubscribed' and list_ids is not null)
    as events
  cross join lateral {{ headwater_listed('events.list_ids') }}
  group by events.source, events.recipient, listed.list_id
),

placed as (
  select
    memberships.source, memberships.list_id, newest.as_of, contacts.bounced, contacts.spam, contacts.read_at,
    case
      when memberships.list_id = '*' then contacts.unsubscribed
      when left_lists.list_id is not null then 1
      else 0
    end as unsubscribed
  from memberships
  inner join contacts on contacts.source = memberships.source and contacts.recipient = memberships.recipient
  inner join newest on newest.source = memberships.source
  left join left_lists
    on left_lists.source = memberships.source and left_lists.recipient = memberships.recipient
    and left_lists.list_id = memberships.list_id
)

select
  source, list_id, as_of,
  cast(count(*) as bigint) as contacts,
  cast(sum(case when unsubscribed + bounced + spam = 0 then 1 else 0 end) as bigint) as active,
  cast(sum(unsubscribed) as bigint) as unsubscribed,
  cast(sum(bounced) as bigint) as bounced,
  cast(sum(spam) as bigint) as spam,
  cast(sum(case when read_at > as_of - interval '30 days' then 1 else 0 end) as bigint) as read_within_30_days,
  cast(sum(case when read_at <= as_of - interval '30 days' and read_at > as_of - interval '90 days' then 1 else 0 end)
    as bigint) as read_within_90_days,
  cast(sum(case when read_at <= as_of - interval '90 days' and read_at > as_of - interval '365 days' then 1 else 0 end)
    as bigint) as read_within_365_days,
  cast(sum(case when read_at <= as_of - interval '365 days' then 1 else 0 end) as bigint) as read_earlier,
  cast(sum(case when read_at is null then 1 else 0 end) as bigint) as never_read,
  {{ headwater_share('sum(unsubscribed)', 'count(*)') }} as unsubscribed_share,
  {{ headwater_share('sum(bounced)', 'count(*)') }} as bounced_share,
  {{ headwater_share('sum(spam)', 'count(*)') }} as spam_share
from placed
group by source, list_id, as_of
