{#- One row an email event of any ActiveCampaign source; every column typed and always there. -#}
{%- set tables = [
  ('delivered', 'email_delivered'), ('opened', 'email_opened'), ('clicked', 'email_link_clicked'),
  ('unsubscribed', 'email_unsubscribed'), ('bounced', 'email_bounced'), ('spam', 'email_marked_as_spam')
] -%}
{%- set selects = [] -%}
{%- for source in var('headwater_email_schemas') -%}
  {%- for kind, table in tables -%}
    {%- set columns = headwater_columns(source, table) -%}
    {%- if columns -%}
      {%- do selects.append(headwater_email_event(source, kind, columns) ~ '\nfrom ' ~ headwater_table(source, table)) -%}
    {%- endif -%}
  {%- endfor -%}
{%- endfor -%}

with every as (
{{ selects | join('\nunion all\n') if selects else headwater_email_event('', '', {}) ~ '\nwhere 1 = 0' }}
)
select
  every.*,
  coalesce(contact_id, email, user_id, anonymous_id) as recipient,
  {{ headwater_identity_key('user_id', 'email', "source || ':' || contact_id", 'anonymous_id') }} as identity_key
from every
