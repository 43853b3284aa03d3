{#- The columns of one table of email events, or of none: each is there and has its type. -#}
{%- macro headwater_email_event(source, kind, columns) -%}
select
  {{ headwater_literal(source) }} as source,
  {{ headwater_text(columns, 'id') }} as event_id,
  {{ headwater_literal(kind) }} as kind,
  {{ headwater_time(columns, 'timestamp') }} as occurred_at,
  {{ headwater_time(columns, 'received_at') }} as received_at,
  {{ headwater_text(columns, 'campaign_id') }} as campaign_id,
  {{ headwater_text(columns, 'campaign_name') }} as campaign_name,
  {{ headwater_text(columns, 'campaign_type') }} as campaign_type,
  {{ headwater_text(columns, 'email_id') }} as email_id,
  {{ headwater_text(columns, 'email_subject') }} as email_subject,
  {{ headwater_text(columns, 'link_id') }} as link_id,
  {{ headwater_text(columns, 'link_url') }} as link_url,
  {{ headwater_text(columns, 'list_ids') }} as list_ids,
  {{ headwater_id(columns, 'contact_id') }} as contact_id,
  {{ headwater_id(columns, 'user_id') }} as user_id,
  {{ headwater_id(columns, 'anonymous_id') }} as anonymous_id,
  coalesce(
    {{ headwater_address(headwater_text(columns, 'context_traits_email')) }},
    {{ headwater_address(headwater_text(columns, 'anonymous_id')) }}
  ) as email,
  {{ headwater_boolean(columns, 'is_machine_open') }} as is_machine,
  {{ headwater_text(columns, 'machine_reason') }} as machine_reason,
  coalesce({{ headwater_boolean(columns, 'derived') }}, false) as is_derived,
  {{ headwater_text(columns, 'derived_from') }} as derived_from,
  coalesce({{ headwater_boolean(columns, 'approximate_timestamp') }}, false) as is_approximate,
  greatest(cast(trunc({{ headwater_number(columns, 'occurrences') }}) as bigint), 1) as occurrences,
  {{ headwater_text(columns, 'bounce_type') }} as bounce_type,
  {{ headwater_text(columns, 'bounce_code') }} as bounce_code,
  {{ headwater_text(columns, 'bounce_reason') }} as bounce_reason,
  {{ headwater_text(columns, 'unsubscribe_id') }} as unsubscribe_id,
  {{ headwater_text(columns, 'unsubscribe_reason') }} as unsubscribe_reason,
  {{ headwater_text(columns, 'initiated_by') }} as initiated_by
{%- endmacro -%}

{#- The columns of one table of conversions, or of none. -#}
{%- macro headwater_conversion(source, event, columns) -%}
{%- set amounts = [] -%}
{%- for name in var('headwater_revenue') -%}
  {%- if name in columns -%} {%- do amounts.append(headwater_number(columns, name)) -%} {%- endif -%}
{%- endfor -%}
select
  {{ headwater_literal(source) }} as source,
  {{ headwater_text(columns, 'id') }} as event_id,
  {{ headwater_literal(event) }} as event,
  {{ headwater_time(columns, 'timestamp') }} as occurred_at,
  {{ headwater_time(columns, 'received_at') }} as received_at,
  {{ headwater_id(columns, 'user_id') }} as user_id,
  {{ headwater_id(columns, 'anonymous_id') }} as anonymous_id,
  {{ 'coalesce(' ~ amounts | join(', ') ~ ')' if amounts else 'cast(null as decimal(18, 4))' }} as revenue
{%- endmacro -%}

{#- Who was seen in a table, and when: the ids that stand together in a row. `users` has its user's id in `id`. -#}
{%- macro headwater_sighting(columns, table) -%}
select
  {{ headwater_id(columns, 'id' if table == 'users' else 'user_id') }} as user_id,
  coalesce(
    {{ headwater_address(headwater_text(columns, 'email' if table in ('identifies', 'users') else 'context_traits_email')) }},
    {{ headwater_address(headwater_text(columns, 'context_traits_email')) }},
    {{ headwater_address(headwater_text(columns, 'anonymous_id')) }},
    {{ headwater_address(headwater_text(columns, 'user_id')) }}
  ) as email,
  cast(null as varchar) as contact,
  {{ headwater_visitor(headwater_id(columns, 'anonymous_id')) }} as anonymous_id,
  {{ headwater_time(columns, 'received_at') }} as received_at
{%- endmacro -%}

{#- An anonymous id, unless it is an address. -#}
{%- macro headwater_visitor(anonymous_id) -%}
  case when {{ headwater_address(anonymous_id) }} is null then {{ anonymous_id }} end
{%- endmacro -%}

{#- The columns of one `tracks` table of a product's source, or of none. -#}
{%- macro headwater_product_event(source, columns) -%}
  select
    {{ headwater_literal(source) }} as source,
    {{ headwater_text(columns, 'id') }} as event_id,
    {{ headwater_text(columns, 'event') }} as event,
    {{ headwater_time(columns, 'timestamp') }} as occurred_at,
    {{ headwater_id(columns, 'user_id') }} as user_id,
    {{ headwater_id(columns, 'anonymous_id') }} as anonymous_id
{%- endmacro -%}

{#- The elements of a JSON array in text, as a relation `listed (list_id)`; none where it cannot be read as one. -#}
{%- macro headwater_listed(text) -%}
  {{- adapter.dispatch('headwater_listed', 'headwater')(text) -}}
{%- endmacro -%}

{%- macro default__headwater_listed(text) -%}
  (select trim(element) as list_id from unnest(string_to_array(translate({{ text }}, '[]"', ''), ',')) as elements (element)) as listed
{%- endmacro -%}

{%- macro duckdb__headwater_listed(text) -%}
  (select trim(unnest(string_split(translate({{ text }}, '[]"', ''), ','))) as list_id) as listed
{%- endmacro -%}
