"""Segment's own TypeScript SDK, unmodified, drives everything that it knows of warehouses and selective sync."""

import shutil

import pytest
from test_segment_public_api_sdk import PACKAGE, driven
from warehouse_desk import load

SCRIPT = """
const sdk = require('@segment/public-api-sdk-typescript')
const [url, token] = process.argv.slice(2)
const made = (Api) => { const api = new Api(url); api.accessToken = token; return api }
const [sources, warehouses, selective, catalog] = ['SourcesApi', 'WarehousesApi', 'SelectiveSyncApi', 'CatalogApi'].map(
  (name) => made(sdk[name]))
const of = async (call) => (await call).body.data
const page = { count: 10 }
async function main() {
  const seen = {}
  const [source] = (await of(sources.listSources(page))).sources
  const known = (await of(catalog.getWarehousesCatalog({ count: 100 }))).warehousesCatalog
  const entry = known.find((each) => each.slug === 'embedded')
  seen.metadata = (await of(catalog.getWarehouseMetadata(entry.id))).warehouseMetadata.slug
  const [first] = (await of(warehouses.listWarehouses(page))).warehouses
  const { warehouse } = await of(warehouses.createWarehouse({ metadataId: entry.id, name: 'Two', enabled: true,
    settings: {} }))
  const id = warehouse.id
  seen.name = (await of(warehouses.getWarehouse(id))).warehouse.settings.name
  seen.renamed = (await of(warehouses.updateWarehouse(id, { name: 'Second' }))).warehouse.settings.name
  seen.validation = (await of(warehouses.createValidationInWarehouse({ metadataId: entry.id, settings: {} }))).status
  seen.state = (await of(warehouses.getConnectionStateFromWarehouse(id))).connectionState
  seen.schedule = (await of(selective.getAdvancedSyncScheduleFromWarehouse(id))).enabled
  const schedule = { times: [{ hourOfDay: 6, enabled: true }], timezone: 'Europe/Berlin' }
  const put = await of(selective.replaceAdvancedSyncScheduleForWarehouse(id, { enabled: true, schedule }))
  seen.hours = put.schedule.times.filter((each) => each.enabled).map((each) => each.hourOfDay)
  seen.zone = put.schedule.timezone
  const overrides = (...syncOverrides) => of(selective.updateSelectiveSyncForWarehouse(id, { syncOverrides }))
  const plan = { sourceId: source.id, collection: 'tracks', property: 'plan', enabled: false }
  seen.updated = await overrides(plan)
  seen.unchanged = (await overrides(plan)).status
  await overrides({ sourceId: source.id, collection: 'tracks', property: 'received_at', enabled: false })
    .catch((error) => { seen.refused = [error.statusCode, error.body.errors[0].field] })
  const [item] = (await of(selective.listSelectiveSyncsFromWarehouseAndSource(id, source.id, page))).items
  seen.item = [item.collection, item.enabled, item.properties.id.enabled, item.properties.plan.enabled]
  seen.mine = [item.sourceId === source.id, item.warehouseId === id]
  const [report] = (await of(selective.listSyncsFromWarehouse(first.id, page))).reports
  seen.report = [report.sourceId === source.id, report.status, report.duration, report.count, report.notices[0].message]
  const ofSource = await of(selective.listSyncsFromWarehouseAndSource(first.id, source.id, page))
  seen.ofSource = ofSource.reports.map((each) => each.count)
  seen.deleted = (await of(warehouses.deleteWarehouse(id))).status
  console.log(JSON.stringify(seen))
}
main().catch((error) => { console.error(error.body ? JSON.stringify(error.body) : error); process.exit(1) })
"""


@pytest.mark.skipif(not shutil.which("node") or not PACKAGE.exists(), reason="Segment's TypeScript SDK needs npm")
def test_the_official_sdk_drives_warehouses_and_selective_sync(running, tmp_path):
    running.control.sources.create(running.workspace.id, "site", "http-api")
    (warehouse,) = running.control.warehouses.all(running.workspace.id)
    running.pipeline.loads = [load(1, warehouse.id, rows={"site.tracks": 4}, notices=["A value did not fit."])]
    assert driven(running, tmp_path, SCRIPT) == {
        "metadata": "embedded",
        "name": "Two",
        "renamed": "Second",
        "validation": "CONNECTED",
        "state": "CONNECTED",
        "schedule": False,
        "hours": [6],
        "zone": "Europe/Berlin",
        "updated": {"status": "UPDATED", "warnings": ["tracks has no property plan yet; it will be left out."]},
        "unchanged": "UNCHANGED",
        "refused": [422, "syncOverrides[0].property"],
        "item": ["tracks", True, True, False],
        "mine": [True, True],
        "report": [True, "SUCCESS", 1.5, 4, "A value did not fit."],
        "ofSource": [4],
        "deleted": "SUCCESS",
    }
