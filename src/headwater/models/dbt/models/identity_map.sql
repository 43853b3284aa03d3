{#- One row an id: user ids, addresses, contacts and anonymous ids of all sources, and the person they belong to.

    Ids that stand together in an event, an identify or an alias call belong to one person, and so on along the chain.
    Each round carries the oldest id one step further, so that the cost is the same whatever somebody sends. -#}
{%- set rounds = 6 -%}
{%- set links_max = 10 -%}
{%- set selects = [] -%}
{%- set aliases = [] -%}
{%- for source in var('headwater_email_schemas') + var('headwater_product_schemas') -%}
  {%- set kept = ['identifies', 'users'] if source in var('headwater_email_schemas')
    else ['tracks', 'identifies', 'users', 'pages', 'screens', 'groups'] -%}
  {%- for table in kept -%}
    {%- set columns = headwater_columns(source, table) -%}
    {%- if columns -%}
      {%- do selects.append(headwater_sighting(columns, table) ~ '\nfrom ' ~ headwater_table(source, table)) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set columns = headwater_columns(source, 'aliases') -%}
  {%- if 'previous_id' in columns and 'user_id' in columns -%}
    {%- do selects.append(headwater_sighting(columns, 'aliases') ~ '\nfrom ' ~ headwater_table(source, 'aliases')) -%}
    {%- do aliases.append(
      'select ' ~ headwater_id(columns, 'user_id') ~ ' as user_id, ' ~ headwater_id(columns, 'previous_id')
      ~ ' as previous_id from ' ~ headwater_table(source, 'aliases')
    ) -%}
  {%- endif -%}
{%- endfor -%}

with every as (
  select user_id, email, source || ':' || contact_id as contact, {{ headwater_visitor('anonymous_id') }} as anonymous_id, received_at
  from {{ ref('email_events') }}
{%- for select in selects %}
  union all
{{ select }}
{%- endfor %}
),

sightings as materialized (
  select user_id, email, contact, anonymous_id, min(received_at) as first_seen_at, max(received_at) as last_seen_at
  from every
  group by user_id, email, contact, anonymous_id
),

aliased as (
{{ aliases | join('\n  union all\n') if aliases else '  select cast(null as varchar) as user_id, cast(null as varchar) as previous_id where 1 = 0' }}
),

ids as materialized (
  select
    row_number() over (order by min(first_seen_at), strength, value) as node,
    kind, value, kind || ':' || value as identity_key,
    min(first_seen_at) as first_seen_at, max(last_seen_at) as last_seen_at
  from (
    select 'user' as kind, 1 as strength, user_id as value, first_seen_at, last_seen_at from sightings
    union all select 'email', 2, email, first_seen_at, last_seen_at from sightings
    union all select 'contact', 3, contact, first_seen_at, last_seen_at from sightings
    union all select 'anonymous', 4, anonymous_id, first_seen_at, last_seen_at from sightings
  ) as told
  where value is not null
  group by kind, strength, value
),

together as materialized (
  select
    users.node as user_node, emails.node as email_node, contacts.node as contact_node, visitors.node as visitor_node,
    sightings.first_seen_at
  from sightings
  left join ids as users on users.kind = 'user' and users.value = sightings.user_id
  left join ids as emails on emails.kind = 'email' and emails.value = sightings.email
  left join ids as contacts on contacts.kind = 'contact' and contacts.value = sightings.contact
  left join ids as visitors on visitors.kind = 'anonymous' and visitors.value = sightings.anonymous_id
),

renamed as materialized (
  select previous.kind, previous.node as previous_node, users.node as user_node, users.first_seen_at
  from (
    select 'user:' || user_id as user_key, 'user:' || previous_id as previous_key from aliased
    union all select 'user:' || user_id, 'anonymous:' || previous_id from aliased
    union all select 'user:' || user_id, 'email:' || lower(previous_id) from aliased
  ) as told
  inner join ids as users on users.identity_key = told.user_key
  inner join ids as previous on previous.identity_key = told.previous_key and previous.node <> users.node
),

known_links as (
  select distinct 'user and email' as link, user_node as one, email_node as other from together
    where user_node is not null and email_node is not null
  union all
  select distinct 'user and contact', user_node, contact_node from together
    where user_node is not null and contact_node is not null
  union all
  select distinct 'email and contact', email_node, contact_node from together
    where email_node is not null and contact_node is not null
  union all
  select distinct 'alias', previous_node, user_node from renamed where kind <> 'anonymous'
),

counted_links as (
  select
    one, other,
    count(*) over (partition by link, one) as others_of_one, count(*) over (partition by link, other) as ones_of_other
  from known_links
),

visits as (
  select 'user' as kind, visitor_node, user_node as known_node, first_seen_at from together where user_node is not null
  union all
  select 'email', visitor_node, email_node, first_seen_at from together where email_node is not null
  union all
  select 'contact', visitor_node, contact_node, first_seen_at from together where contact_node is not null
  union all
  select 'alias', previous_node, user_node, first_seen_at from renamed where kind = 'anonymous'
),

first_visits as (
  select
    visitor_node, known_node,
    row_number() over (partition by visitor_node, kind order by first_seen_at, known_node) as place
  from visits
  where visitor_node is not null
),

visitor_links as materialized (
  select visitor_node, known_node, count(*) over (partition by visitor_node) as links
  from (select distinct visitor_node, known_node from first_visits where place = 1) as first_ones
),

links as materialized (
  select one, other from counted_links where others_of_one <= {{ links_max }} and ones_of_other <= {{ links_max }}
  union all
  select visitor_node, known_node from visitor_links where links > 1
),

steps as materialized (
  select one as node, other as neighbour from links
  union
  select other, one from links
  union
  select one, one from links
  union
  select other, other from links
),

label_0 as (
  select ids.node, least(ids.node, min(visitor_links.visitor_node)) as label
  from ids
  left join visitor_links on visitor_links.known_node = ids.node and visitor_links.links = 1
  group by ids.node
),
{% for round in range(rounds) %}
label_{{ round + 1 }} as (
  select steps.node, min(label_{{ round }}.label) as label
  from steps
  inner join label_{{ round }} on label_{{ round }}.node = steps.neighbour
  group by steps.node
),
{% endfor %}
known_labels as materialized (
  select label_0.node, coalesce(label_{{ rounds }}.label, label_0.label) as label
  from label_0
  left join label_{{ rounds }} on label_{{ rounds }}.node = label_0.node
),

labels as (
  select known_labels.node, coalesce(of_known.label, known_labels.label) as label
  from known_labels
  left join visitor_links on visitor_links.visitor_node = known_labels.node and visitor_links.links = 1
  left join known_labels as of_known on of_known.node = visitor_links.known_node
)

select
  ids.identity_key, ids.kind, ids.value, md5(firsts.identity_key) as person_id, ids.first_seen_at, ids.last_seen_at
from ids
inner join labels on labels.node = ids.node
inner join ids as firsts on firsts.node = labels.label
