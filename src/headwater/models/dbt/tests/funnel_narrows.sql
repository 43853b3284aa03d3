-- Whoever clicked has opened, and whoever opened has got it.
select * from {{ ref('campaigns') }} where delivered > recipients or opened > delivered or clicked > opened
