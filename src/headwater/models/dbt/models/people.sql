{#- One row a person: everything that identity_map says belongs together. -#}
with ids as (
  select
    *,
    row_number() over (partition by person_id, kind order by first_seen_at, value) as place,
    row_number() over (partition by person_id, kind order by last_seen_at desc, value) as recency
  from {{ ref('identity_map') }}
)
select
  person_id,
  max(case when kind = 'user' and recency = 1 then value end) as user_id,
  max(case when kind = 'email' and recency = 1 then value end) as email,
  {{ headwater_list('value', "kind = 'user' and place <= 100", 'place') }} as user_ids,
  {{ headwater_list('value', "kind = 'email' and place <= 100", 'place') }} as emails,
  {{ headwater_list('value', "kind = 'contact' and place <= 100", 'place') }} as contacts,
  {{ headwater_list('value', "kind = 'anonymous' and place <= 100", 'place') }} as anonymous_ids,
  count(*) as ids,
  max(case when kind = 'user' then 1 else 0 end) = 1 as is_known,
  min(first_seen_at) as first_seen_at,
  max(last_seen_at) as last_seen_at
from ids
group by person_id
