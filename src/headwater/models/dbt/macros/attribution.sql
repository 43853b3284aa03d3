{#- The last click of a person before an event, in SQL: an as-of join. Joining each event with all clicks before it would
    grow with their product, and counting an event for every campaign would count it more than once.

    Args: names of two relations. `happened` has source, event_id, person_id, occurred_at; `clicks` has person_id,
    clicked_at (each pair once) and whatever is wanted of the click. -#}
{%- macro headwater_last_click(happened, clicks) -%}
  {{- adapter.dispatch('headwater_last_click', 'headwater')(happened, clicks) -}}
{%- endmacro -%}

{#- Every click has a number within its person; an event belongs to as many clicks as lie before it. -#}
{%- macro default__headwater_last_click(happened, clicks) -%}
  numbered_clicks as materialized (
    select *, row_number() over (partition by person_id order by clicked_at) as number from {{ clicks }}
  ),
  counted as (
    select source, event_id, person_id, occurred_at,
      sum(is_click) over (partition by person_id order by occurred_at, is_click desc rows unbounded preceding) as number
    from (
      select source, event_id, person_id, occurred_at, 0 as is_click from {{ happened }}
      union all
      select null, null, person_id, clicked_at, 1 from numbered_clicks
    ) as timeline
  ),
  last_clicks as (
    select counted.source, counted.event_id, {{ headwater_click_columns('numbered_clicks') }}
    from counted
    inner join numbered_clicks
      on numbered_clicks.person_id = counted.person_id and numbered_clicks.number = counted.number
    where counted.event_id is not null
      and counted.occurred_at <= numbered_clicks.clicked_at + {{ headwater_window() }}
  )
{%- endmacro -%}

{%- macro duckdb__headwater_last_click(happened, clicks) -%}
  last_clicks as (
    select happened.source, happened.event_id, {{ headwater_click_columns('clicks') }}
    from {{ happened }} as happened
    asof join {{ clicks }} as clicks
      on clicks.person_id = happened.person_id and happened.occurred_at >= clicks.clicked_at
    where happened.occurred_at <= clicks.clicked_at + {{ headwater_window() }}
  )
{%- endmacro -%}

{%- macro headwater_window() -%}
  interval '{{ var('headwater_window_days') | int }} days'
{%- endmacro -%}

{%- macro headwater_click_columns(clicks) -%}
  {%- for name in ['click_id', 'click_source', 'campaign_id', 'campaign_name', 'email_id', 'link_url', 'clicked_at'] -%}
    {{ clicks }}.{{ name }}{{ ', ' if not loop.last }}
  {%- endfor -%}
{%- endmacro -%}

{#- People's clicks in campaigns; of several at one instant the one that arrived last. -#}
{%- macro headwater_clicks(people) -%}
  select person_id, click_id, click_source, campaign_id, campaign_name, email_id, link_url, clicked_at
  from (
    select
      people.person_id, clicks.event_id as click_id, clicks.source as click_source, clicks.campaign_id,
      clicks.campaign_name, clicks.email_id, clicks.link_url, clicks.occurred_at as clicked_at,
      row_number() over (
        partition by people.person_id, clicks.occurred_at
        order by clicks.received_at desc, clicks.event_id desc, clicks.source
      ) as place
    from {{ ref('email_events') }} as clicks
    inner join {{ people }} as people on people.identity_key = clicks.identity_key
    where clicks.kind = 'clicked' and not coalesce(clicks.is_machine, false) and clicks.campaign_id is not null
  ) as ranked
  where place = 1
{%- endmacro -%}
