{#- One row a product event that counts as a conversion, with its revenue. -#}
{%- set selects = [] -%}
{%- for source in var('headwater_product_schemas') -%}
  {%- for event in var('headwater_conversions') -%}
    {%- set columns = headwater_columns(source, event) -%}
    {%- if columns -%}
      {%- do selects.append(headwater_conversion(source, event, columns) ~ '\nfrom ' ~ headwater_table(source, event)) -%}
    {%- endif -%}
  {%- endfor -%}
{%- endfor -%}

with every as (
{{ selects | join('\nunion all\n') if selects else headwater_conversion('', '', {}) ~ '\nwhere 1 = 0' }}
)
select
  source, event_id, event, occurred_at, received_at, user_id, anonymous_id, cast(revenue as double precision) as revenue,
  {{ headwater_product_key() }} as identity_key
from every
