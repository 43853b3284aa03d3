{#- One row a campaign: the funnel from delivery to revenue, in recipients and people, each counted once a campaign. -#}
with recipients as (
  select
    source, campaign_id, recipient,
    max(case when delivered_at is not null then 1 else 0 end) as delivered,
    max(case when first_read_at is not null then 1 else 0 end) as opened,
    max(case when first_machine_opened_at is not null then 1 else 0 end) as machine_opened,
    max(case when first_clicked_at is not null then 1 else 0 end) as clicked,
    max(case when unsubscribed_at is not null then 1 else 0 end) as unsubscribed,
    max(case when bounced_at is not null then 1 else 0 end) as bounced,
    max(case when bounce_type = 'hard' then 1 else 0 end) as bounced_hard,
    max(case when spam_at is not null then 1 else 0 end) as spam,
    min(delivered_at) as first_delivered_at,
    sum(opens) as opens, sum(machine_opens) as machine_opens, sum(clicks) as clicks
  from {{ ref('email_messages') }}
  where campaign_id is not null
  group by source, campaign_id, recipient
),

emailed as (
  select
    source, campaign_id, min(first_delivered_at) as first_delivered_at,
    count(*) as recipients,
    sum(delivered) as delivered, sum(opened) as opened,
    sum(case when opened = 0 then machine_opened else 0 end) as opened_by_machine_only,
    sum(clicked) as clicked, sum(unsubscribed) as unsubscribed,
    sum(bounced) as bounced, sum(bounced_hard) as bounced_hard, sum(spam) as spam,
    sum(opens) as opens, sum(machine_opens) as machine_opens, sum(clicks) as clicks
  from recipients
  group by source, campaign_id
),

named as (
  select source, campaign_id, campaign_name, campaign_type
  from (
    select
      source, campaign_id, campaign_name, campaign_type,
      row_number() over (
        partition by source, campaign_id order by latest desc, campaign_name, campaign_type
      ) as place
    from (
      select source, campaign_id, campaign_name, campaign_type, max(received_at) as latest
      from {{ ref('email_events') }}
      where campaign_name is not null
      group by source, campaign_id, campaign_name, campaign_type
    ) as told
  ) as ranked
  where place = 1
),

converted as (
  select
    click_source as source, campaign_id, count(distinct person_id) as converted, count(*) as conversions,
    cast(sum(cast(revenue as decimal(38, 4))) as double precision) as revenue
  from {{ ref('attributed_conversions') }}
  where campaign_id is not null
  group by click_source, campaign_id
)

select
  emailed.source, emailed.campaign_id, named.campaign_name, named.campaign_type, emailed.first_delivered_at,
  cast(emailed.recipients as bigint) as recipients,
  cast(emailed.delivered as bigint) as delivered,
  cast(emailed.opened as bigint) as opened,
  cast(emailed.opened_by_machine_only as bigint) as opened_by_machine_only,
  cast(emailed.clicked as bigint) as clicked,
  cast(coalesce(converted.converted, 0) as bigint) as converted,
  cast(coalesce(converted.conversions, 0) as bigint) as conversions,
  coalesce(converted.revenue, 0) as revenue,
  cast(emailed.unsubscribed as bigint) as unsubscribed,
  cast(emailed.bounced as bigint) as bounced,
  cast(emailed.bounced_hard as bigint) as bounced_hard,
  cast(emailed.spam as bigint) as spam,
  cast(emailed.opens as bigint) as opens,
  cast(emailed.machine_opens as bigint) as machine_opens,
  cast(emailed.clicks as bigint) as clicks,
  {{ headwater_share('emailed.opened', 'emailed.delivered') }} as open_rate,
  {{ headwater_share('emailed.clicked', 'emailed.delivered') }} as click_rate,
  {{ headwater_share('emailed.clicked', 'emailed.opened') }} as click_to_open_rate,
  {{ headwater_share('coalesce(converted.converted, 0)', 'emailed.delivered') }} as conversion_rate,
  {{ headwater_share('coalesce(converted.revenue, 0)', 'emailed.delivered') }} as revenue_per_delivered,
  {{ headwater_share('emailed.unsubscribed', 'emailed.delivered') }} as unsubscribe_rate,
  {{ headwater_share('emailed.bounced', 'emailed.recipients') }} as bounce_rate,
  {{ headwater_share('emailed.spam', 'emailed.delivered') }} as spam_rate
from emailed
left join named on named.source = emailed.source and named.campaign_id = emailed.campaign_id
left join converted on converted.source = emailed.source and converted.campaign_id = emailed.campaign_id
