{#- Columns that may be missing, and may have another type than expected: what is not there or cannot be read is null,
    so that every model has the same columns with the same types in every warehouse. -#}

{%- macro headwater_quoted(name) -%}
  "{{ name | replace('"', '""') }}"
{%- endmacro -%}

{%- macro headwater_literal(text) -%}
  '{{ text | string | replace("'", "''") }}'
{%- endmacro -%}

{%- macro headwater_text(columns, name) -%}
  {%- if name in columns -%} cast({{ headwater_quoted(name) }} as varchar) {%- else -%} cast(null as varchar) {%- endif -%}
{%- endmacro -%}

{#- An id: blank, and what programs write where they have none, is none. -#}
{%- macro headwater_id(columns, name) -%}
  {%- if name in columns -%}
    case when lower(trim({{ headwater_text(columns, name) }})) not in (
      '', '0', '-1', 'null', 'none', 'nil', 'nan', 'undefined', 'unknown', 'anonymous', 'guest', 'true', 'false',
      '[object object]', '00000000-0000-0000-0000-000000000000'
    ) then trim({{ headwater_text(columns, name) }}) end
  {%- else -%} cast(null as varchar) {%- endif -%}
{%- endmacro -%}

{#- An address, in lower case. -#}
{%- macro headwater_address(expression) -%}
  case when {{ expression }} like '%_@_%' and length({{ expression }}) <= 320 then lower(trim({{ expression }})) end
{%- endmacro -%}

{%- macro headwater_boolean(columns, name) -%}
  {%- if name in columns -%}
    case lower({{ headwater_text(columns, name) }}) when 'true' then true when 'false' then false end
  {%- else -%} cast(null as boolean) {%- endif -%}
{%- endmacro -%}

{#- A time in UTC, without a zone. -#}
{%- macro headwater_time(columns, name) -%}
  {%- if name not in columns -%} cast(null as timestamp)
  {%- elif 'time zone' in columns[name] and 'without' not in columns[name] -%}
    (cast({{ headwater_quoted(name) }} as timestamp with time zone) at time zone 'UTC')
  {%- else -%} cast({{ headwater_quoted(name) }} as timestamp) {%- endif -%}
{%- endmacro -%}

{#- A number, also from text; null where it is none, is not finite, or has more than 14 digits before the point. -#}
{%- macro headwater_number(columns, name) -%}
  {%- if name in columns -%} {{ headwater_number_of(headwater_text(columns, name)) }}
  {%- else -%} cast(null as decimal(18, 4)) {%- endif -%}
{%- endmacro -%}

{%- macro headwater_number_of(text) -%}
  {{- adapter.dispatch('headwater_number_of', 'headwater')(text) -}}
{%- endmacro -%}

{%- macro default__headwater_number_of(text) -%}
  case when {{ text }} ~ '^\s*[+-]?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?\s*$' then
    case when abs(round(cast({{ text }} as numeric), 4)) < 1e14 then cast(cast({{ text }} as numeric) as decimal(18, 4)) end
  end
{%- endmacro -%}

{%- macro duckdb__headwater_number_of(text) -%}
  case when regexp_full_match({{ text }}, '\s*[+-]?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?\s*') then
    try_cast({{ text }} as decimal(18, 4))
  end
{%- endmacro -%}

{#- A share, null where there is nothing to share. -#}
{%- macro headwater_share(part, whole) -%}
  cast({{ part }} as double precision) / nullif({{ whole }}, 0)
{%- endmacro -%}
