{#- Who did it, as the key of a row of identity_map: the strongest id that is there. -#}
{%- macro headwater_identity_key(user_id, email, contact, anonymous_id) -%}
  coalesce('user:' || {{ user_id }}, 'email:' || {{ email }}, 'contact:' || {{ contact }}, 'anonymous:' || {{ anonymous_id }})
{%- endmacro -%}

{#- The same of a product event; an anonymous id that is an address is that address. -#}
{%- macro headwater_product_key() -%}
  {{ headwater_identity_key('user_id', headwater_address('anonymous_id'), 'cast(null as varchar)', 'anonymous_id') }}
{%- endmacro -%}

{#- Values as JSON text, [] where there are none. -#}
{%- macro headwater_list(value, condition, place) -%}
  {{- adapter.dispatch('headwater_list', 'headwater')(value, condition, place) -}}
{%- endmacro -%}

{%- macro default__headwater_list(value, condition, place) -%}
  coalesce(cast(json_agg({{ value }} order by {{ place }}) filter (where {{ condition }}) as varchar), '[]')
{%- endmacro -%}

{%- macro duckdb__headwater_list(value, condition, place) -%}
  coalesce(cast(to_json(list({{ value }} order by {{ place }}) filter (where {{ condition }})) as varchar), '[]')
{%- endmacro -%}
