{#- One row a campaign and step: delivered, opened, clicked, then every product event that followed a click. -#}
with campaigns as (
  select
    source, campaign_id,
    count(distinct case when delivered_at is not null then recipient end) as delivered,
    count(distinct case when first_read_at is not null then recipient end) as opened,
    count(distinct case when first_clicked_at is not null then recipient end) as clicked
  from {{ ref('email_messages') }}
  where campaign_id is not null
  group by source, campaign_id
),

followed as (
  select
    happened.click_source as source, happened.campaign_id, happened.event,
    count(distinct happened.person_id) as people, count(*) as events,
    cast(sum(cast(conversions.revenue as decimal(38, 4))) as double precision) as revenue
  from {{ ref('attributed_events') }} as happened
  left join {{ ref('conversions') }} as conversions
    on conversions.source = happened.source and conversions.event_id = happened.event_id
  group by happened.click_source, happened.campaign_id, happened.event
),

steps as (
  select source, campaign_id, 1 as position, 'delivered' as step, delivered as people, delivered as events, delivered,
    cast(null as double precision) as revenue
  from campaigns
  union all
  select source, campaign_id, 2, 'opened', opened, opened, delivered, null from campaigns
  union all
  select source, campaign_id, 3, 'clicked', clicked, clicked, delivered, null from campaigns
  union all
  select followed.source, followed.campaign_id, 4, followed.event, followed.people, followed.events,
    campaigns.delivered, followed.revenue
  from followed
  inner join campaigns on campaigns.source = followed.source and campaigns.campaign_id = followed.campaign_id
)

select
  source, campaign_id, position, step, cast(people as bigint) as people, cast(events as bigint) as events, revenue,
  {{ headwater_share('people', 'delivered') }} as share_of_delivered
from steps
