-- Nothing is attributed to a click after it, or to one outside the window.
select source, event_id, seconds_after_click
from (
  select source, event_id, seconds_after_click from {{ ref('attributed_conversions') }}
  union all
  select source, event_id, seconds_after_click from {{ ref('attributed_events') }}
) as attributed
where seconds_after_click < 0 or seconds_after_click > {{ var('headwater_window_days') | int }} * 86400
