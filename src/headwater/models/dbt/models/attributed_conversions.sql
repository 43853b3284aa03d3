{#- One row a conversion, with the last click before it: each counts for one campaign at most. -#}
with people as materialized (
  select identity_key, person_id from {{ ref('identity_map') }}
),

clicks as materialized (
  {{ headwater_clicks('people') }}
),

happened as materialized (
  select conversions.*, people.person_id
  from {{ ref('conversions') }} as conversions
  left join people on people.identity_key = conversions.identity_key
),

{{ headwater_last_click('happened', 'clicks') }}

select
  happened.source, happened.event_id, happened.event, happened.person_id, happened.occurred_at, happened.received_at,
  happened.revenue, last_clicks.click_source, last_clicks.campaign_id, last_clicks.campaign_name, last_clicks.email_id,
  last_clicks.click_id, last_clicks.link_url, last_clicks.clicked_at,
  cast(extract(epoch from (happened.occurred_at - last_clicks.clicked_at)) as bigint) as seconds_after_click
from happened
left join last_clicks on last_clicks.source = happened.source and last_clicks.event_id = happened.event_id
