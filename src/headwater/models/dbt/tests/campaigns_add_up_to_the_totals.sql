-- A conversion counts for one campaign: the sum over campaigns is what there is.
select totals.*
from {{ ref('email_totals') }} as totals
cross join (
  select coalesce(sum(conversions), 0) as conversions, coalesce(sum(revenue), 0) as revenue from {{ ref('campaigns') }}
) as summed
where totals.attributed_conversions <> summed.conversions
  or abs(totals.attributed_revenue - summed.revenue) > 0.0001
  or totals.attributed_conversions > totals.conversions
