{#- One row a product event that followed a click within the window: any track call of the product's sources. -#}
{%- set selects = [] -%}
{%- for source in var('headwater_product_schemas') -%}
  {%- set columns = headwater_columns(source, 'tracks') -%}
  {%- if columns -%}
    {%- do selects.append(headwater_product_event(source, columns) ~ '\n  from ' ~ headwater_table(source, 'tracks')) -%}
  {%- endif -%}
{%- endfor -%}

with people as materialized (
  select identity_key, person_id from {{ ref('identity_map') }}
),

clicks as materialized (
  {{ headwater_clicks('people') }}
),

every as (
  {{ selects | join('\n  union all\n  ') if selects else headwater_product_event('', {}) ~ '\n  where 1 = 0' }}
),

keyed as (
  select source, event_id, event, occurred_at, {{ headwater_product_key() }} as identity_key from every
),

happened as materialized (
  select keyed.source, keyed.event_id, keyed.event, keyed.occurred_at, people.person_id
  from keyed
  inner join people on people.identity_key = keyed.identity_key
),

{{ headwater_last_click('happened', 'clicks') }}

select
  happened.source, happened.event_id, happened.event, happened.person_id, happened.occurred_at,
  last_clicks.click_source, last_clicks.campaign_id, last_clicks.campaign_name, last_clicks.email_id,
  last_clicks.click_id, last_clicks.link_url, last_clicks.clicked_at,
  cast(extract(epoch from (happened.occurred_at - last_clicks.clicked_at)) as bigint) as seconds_after_click
from happened
inner join last_clicks on last_clicks.source = happened.source and last_clicks.event_id = happened.event_id
