{#- One row a message and recipient. Emails outside campaigns have the campaign null; what belongs to no message at all
    (somebody was taken off a list by hand) is left out. -#}
with found as (
  select
    source, campaign_id, email_id, recipient,
    min(identity_key) as identity_key,
    min(case when kind = 'delivered' then occurred_at end) as told_delivered_at,
    min(case when kind in ('opened', 'clicked') then occurred_at end) as first_engaged_at,
    min(case when kind = 'opened' and not coalesce(is_machine, false) then occurred_at end) as first_opened_at,
    max(case when kind = 'opened' and not coalesce(is_machine, false) then occurred_at end) as last_opened_at,
    min(case when kind = 'opened' and is_machine then occurred_at end) as first_machine_opened_at,
    sum(case when kind = 'opened' and not coalesce(is_machine, false) then occurrences else 0 end) as opens,
    sum(case when kind = 'opened' and is_machine then occurrences else 0 end) as machine_opens,
    min(case when kind = 'clicked' and not coalesce(is_machine, false) then occurred_at end) as first_clicked_at,
    max(case when kind = 'clicked' and not coalesce(is_machine, false) then occurred_at end) as last_clicked_at,
    sum(case when kind = 'clicked' and not coalesce(is_machine, false) then occurrences else 0 end) as clicks,
    sum(case when kind = 'clicked' and is_machine then occurrences else 0 end) as machine_clicks,
    min(case when kind = 'unsubscribed' then occurred_at end) as unsubscribed_at,
    min(case when kind = 'bounced' then occurred_at end) as bounced_at,
    max(case when kind = 'bounced' then case when bounce_type = 'hard' then 2 else 1 end end) as bounce,
    min(case when kind = 'spam' then occurred_at end) as spam_at
  from {{ ref('email_events') }}
  where recipient is not null and (campaign_id is not null or email_id is not null)
  group by source, campaign_id, email_id, recipient
)
select
  source, campaign_id, email_id, recipient, identity_key,
  case when bounced_at is null or first_opened_at is not null or first_clicked_at is not null
    then least(told_delivered_at, first_engaged_at) end as delivered_at,
  least(first_opened_at, first_clicked_at) as first_read_at,
  first_opened_at, last_opened_at,
  cast(opens as bigint) as opens,
  first_machine_opened_at,
  cast(machine_opens as bigint) as machine_opens,
  first_clicked_at, last_clicked_at,
  cast(clicks as bigint) as clicks,
  cast(machine_clicks as bigint) as machine_clicks,
  unsubscribed_at, bounced_at,
  case bounce when 2 then 'hard' when 1 then 'soft' end as bounce_type,
  spam_at
from found
