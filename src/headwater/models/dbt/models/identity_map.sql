{#- One row an id: user ids, addresses, contacts and anonymous ids of all sources, and the person they belong to.

    Each id is anchored to the oldest of the stronger ids that it was seen with: an address to a user, a contact or an
    anonymous id to a user or an address. Most people are complete with that. An id that was seen with several is a
    bridge between them, and rounds carry the oldest anchor over the bridges, one a round: there are few, and however
    long a chain somebody makes, the cost stays the same. -#}
{%- set rounds = 8 -%}
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
  select user_id, email, source || ':' || contact_id as contact, 
    case when contact_id is null then {{ headwater_visitor('anonymous_id') }} end as anonymous_id, received_at
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

user_emails as materialized (
  select user_node, email_node
  from (
    select
      user_node, email_node,
      count(*) over (partition by user_node) as emails, count(*) over (partition by email_node) as users
    from (
      select distinct user_node, email_node from together where user_node is not null and email_node is not null
      union
      select user_node, previous_node from renamed where kind = 'email'
    ) as pairs
  ) as counted
  where emails <= {{ links_max }} and users <= {{ links_max }}
),

email_anchors as materialized (
  select email_node, min(user_node) as anchor from user_emails group by email_node
),

anchored as materialized (
  select
    together.user_node, coalesce(email_anchors.anchor, together.email_node) as email_anchor,
    together.contact_node, together.visitor_node, together.first_seen_at
  from together
  left join email_anchors on email_anchors.email_node = together.email_node
),

contact_pairs as (
  select contact_node, stronger
  from (
    select
      contact_node, stronger,
      count(*) over (partition by contact_node) as strongers, count(*) over (partition by stronger) as contacts
    from (
      select contact_node, user_node as stronger from anchored where contact_node is not null and user_node is not null
      union
      select contact_node, email_anchor from anchored where contact_node is not null and email_anchor is not null
    ) as pairs
  ) as counted
  where strongers <= {{ links_max }} and contacts <= {{ links_max }}
),

visits as (
  select 'user' as kind, visitor_node, user_node as stronger, first_seen_at
  from anchored where visitor_node is not null and user_node is not null
  union all
  select 'email', visitor_node, email_anchor, first_seen_at
  from anchored where visitor_node is not null and email_anchor is not null
  union all
  select 'alias', previous_node, user_node, first_seen_at from renamed where kind = 'anonymous'
),

visitor_pairs as (
  select distinct visitor_node, stronger
  from (
    select visitor_node, stronger, row_number() over (partition by visitor_node, kind order by first_seen_at, stronger) as place
    from visits
  ) as ranked
  where place = 1
),

pairs as materialized (
  select node, stronger, min(stronger) over (partition by node) as anchor
  from (
    select contact_node as node, stronger from contact_pairs
    union all
    select visitor_node, stronger from visitor_pairs
    union all
    select email_node, user_node from user_emails
  ) as every_pair
),

bridges as materialized (
  select anchor as one, stronger as other from pairs where stronger <> anchor
  union
  select user_node, previous_node from renamed where kind = 'user'
),

steps as materialized (
  select one as node, other as neighbour from bridges
  union
  select other, one from bridges
  union
  select one, one from bridges
  union
  select other, other from bridges
),

label_0 as (
  select distinct node, node as label from steps
),
{% for round in range(rounds) %}
label_{{ round + 1 }} as (
  select steps.node, min(label_{{ round }}.label) as label
  from steps
  inner join label_{{ round }} on label_{{ round }}.node = steps.neighbour
  group by steps.node
),
{% endfor %}
anchors as (
  select ids.node, coalesce(stronger.anchor, ids.node) as anchor
  from ids
  left join (select distinct node, anchor from pairs) as stronger on stronger.node = ids.node
),

rooted as materialized (
  select anchors.node, coalesce(label_{{ rounds }}.label, anchors.anchor) as root
  from anchors
  left join label_{{ rounds }} on label_{{ rounds }}.node = anchors.anchor
),

oldest as (
  select root, min(node) as node from rooted group by root
)

select
  ids.identity_key, ids.kind, ids.value, md5(firsts.identity_key) as person_id, ids.first_seen_at, ids.last_seen_at
from ids
inner join rooted on rooted.node = ids.node
inner join oldest on oldest.root = rooted.root
inner join ids as firsts on firsts.node = oldest.node
