{#- One row: all campaigns together. People and recipients are counted once here, however many campaigns reached them. -#}
with recipients as (
  select
    source, recipient,
    max(case when delivered_at is not null then 1 else 0 end) as delivered,
    max(case when first_read_at is not null then 1 else 0 end) as opened,
    max(case when first_clicked_at is not null then 1 else 0 end) as clicked
  from {{ ref('email_messages') }}
  where campaign_id is not null
  group by source, recipient
),

reached as (
  select
    count(*) as recipients, coalesce(sum(delivered), 0) as delivered, coalesce(sum(opened), 0) as opened,
    coalesce(sum(clicked), 0) as clicked
  from recipients
),

converted as (
  select
    count(*) as conversions,
    count(campaign_id) as attributed_conversions,
    count(distinct case when campaign_id is not null then person_id end) as converted,
    coalesce(cast(sum(cast(revenue as decimal(38, 4))) as double precision), 0) as revenue,
    coalesce(
      cast(sum(case when campaign_id is not null then cast(revenue as decimal(38, 4)) end) as double precision), 0
    ) as attributed_revenue
  from {{ ref('attributed_conversions') }}
)

select
  cast(recipients as bigint) as recipients, cast(delivered as bigint) as delivered, cast(opened as bigint) as opened,
  cast(clicked as bigint) as clicked, cast(converted as bigint) as converted,
  cast(attributed_conversions as bigint) as attributed_conversions, attributed_revenue,
  cast(conversions as bigint) as conversions, revenue
from reached
cross join converted
