"""What people who are suppressed cost is in the metrics, apart from what was filtered."""

from headwater import telemetry
from headwater.app import answers, health
from headwater.ingest.carrying import Counts
from headwater.loading.runs import Totals

DO_NOT_ADD_UP = {"rows"}


def test_every_end_of_an_event_at_a_warehouse_has_its_metric():
    totals = answers.plain(Totals(events=5, rows=9, filtered=1, missed=2, suppressed=3))
    status = {"warehouseId": "w", "cursor": 11, "failures": 0, "reloads": 0, "unaccounted": 0, "totals": totals}
    text = telemetry.exposition(health._of_warehouses([status], 11)).decode()
    ends = {"loaded": 5, "filtered": 1, "missed": 2, "suppressed": 3}
    for end, count in ends.items():
        assert f'headwater_warehouse_events_total{{outcome="{end}",warehouse="w"}} {count}.0' in text
    assert len(ends) == len(totals) - len(DO_NOT_ADD_UP)


def test_the_mapper_tells_of_webhooks_that_were_erased_and_events_that_were_kept_out():
    counts = answers.plain(Counts(mapped=1, events=2, suppressed=3, erased=4))
    text = telemetry.exposition(health._of_mapper({"cursor": 0, **counts})).decode()
    assert 'headwater_inbox_events_total{outcome="suppressed"} 3.0' in text
    assert 'headwater_inbox_records_total{outcome="erased"} 4.0' in text
