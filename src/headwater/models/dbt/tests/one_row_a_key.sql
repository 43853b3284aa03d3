-- Every model has one row for each of what its description names.
{%- set keys = {
  'email_events': 'source, kind, event_id',
  'email_messages': 'source, campaign_id, email_id, recipient',
  'campaigns': 'source, campaign_id',
  'email_funnel': 'source, campaign_id, position, step',
  'conversions': 'source, event, event_id',
  'attributed_conversions': 'source, event, event_id',
  'attributed_events': 'source, event_id',
  'campaign_opens': 'source, campaign_id, opened_by',
  'email_days': 'source, day',
  'list_health': 'source, list_id',
} %}
-- depends_on: {{ ref('email_events') }}, {{ ref('email_messages') }}, {{ ref('campaigns') }}, {{ ref('email_funnel') }}
-- depends_on: {{ ref('conversions') }}, {{ ref('attributed_conversions') }}, {{ ref('attributed_events') }}
-- depends_on: {{ ref('campaign_opens') }}, {{ ref('email_days') }}, {{ ref('list_health') }}
{% for model, key in keys.items() %}
select '{{ model }}' as model, count(*) as rows_of_one_key from {{ ref(model) }} group by {{ key }} having count(*) > 1
{{ 'union all' if not loop.last }}
{%- endfor %}
