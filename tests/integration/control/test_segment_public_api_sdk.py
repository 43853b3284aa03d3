"""Segment's own TypeScript SDK, unmodified, drives sources, destinations and warehouses."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SDK = Path(os.environ.get("HEADWATER_TEST_NODE_SDK", Path(__file__).parents[3] / ".stamps" / "node-sdk"))
PACKAGE = SDK / "node_modules" / "@segment" / "public-api-sdk-typescript"

SCRIPT = """
const sdk = require('@segment/public-api-sdk-typescript')
const [url, token] = process.argv.slice(2)
const made = (Api) => { const api = new Api(url); api.accessToken = token; return api }
const [sources, destinations, warehouses, catalog, workspaces, testing] = ['SourcesApi', 'DestinationsApi',
  'WarehousesApi', 'CatalogApi', 'WorkspacesApi', 'TestingApi'].map((name) => made(sdk[name]))
const of = async (call) => (await call).body.data
async function main() {
  const seen = {}
  seen.workspace = (await of(workspaces.getWorkspace())).workspace.slug
  seen.echo = (await of(testing.echo('hello'))).message
  const wanted = (await of(catalog.getSourcesCatalog({ count: 100 }))).sourcesCatalog
  const metadataId = wanted.find((each) => each.slug === 'http-api').id
  seen.entry = (await of(catalog.getSourceMetadata(metadataId))).sourceMetadata.name
  const { source } = await of(sources.createSource({ slug: 'website', enabled: true, metadataId }))
  const sourceId = source.id
  seen.updated = (await of(sources.updateSource(sourceId, { enabled: false, name: 'Shop' }))).source.name
  seen.keys = (await of(sources.createWriteKeyForSource(sourceId))).source.writeKeys.length
  await sources.removeWriteKeyFromSource(sourceId, source.writeKeys[0])
  seen.keysLeft = (await of(sources.getSource(sourceId))).source.writeKeys.length
  const { destination } = await of(destinations.createDestination({ sourceId, metadataId: 'webhook',
    name: 'Hook', enabled: true, settings: { url: 'https://example.com/hook' } }))
  seen.settings = (await of(destinations.getDestination(destination.id))).destination.settings.url
  seen.connected = (await of(sources.listConnectedDestinationsFromSource(sourceId, { count: 10 }))).destinations.length
  const renamed = await of(destinations.updateDestination(destination.id, { name: 'Renamed' }))
  seen.renamed = renamed.destination.name
  const [warehouse] = (await of(warehouses.listWarehouses({ count: 10 }))).warehouses
  await warehouses.removeSourceConnectionFromWarehouse(warehouse.id, sourceId)
  seen.apart = (await of(sources.listConnectedWarehousesFromSource(sourceId, { count: 10 }))).warehouses.length
  await warehouses.addConnectionFromSourceToWarehouse(warehouse.id, sourceId)
  seen.joined = (await of(warehouses.listConnectedSourcesFromWarehouse(warehouse.id, { count: 10 }))).sources[0].id
  seen.deleted = [(await of(destinations.deleteDestination(destination.id))).status,
    (await of(sources.deleteSource(sourceId))).status]
  seen.joined = seen.joined === sourceId
  await sources.getSource(sourceId).catch((error) => { seen.gone = [error.statusCode, error.body.errors[0].type] })
  console.log(JSON.stringify(seen))
}
main().catch((error) => { console.error(error.body ? JSON.stringify(error.body) : error); process.exit(1) })
"""


@pytest.mark.skipif(not shutil.which("node") or not PACKAGE.exists(), reason="Segment's TypeScript SDK needs npm")
def test_the_official_sdk_works_unchanged(running, tmp_path):
    script = tmp_path / "drive.js"
    script.write_text(SCRIPT)
    done = subprocess.run(
        ["node", script, running.url, running.tokens["owner"]],
        env={**os.environ, "NODE_PATH": str(SDK / "node_modules"), "NODE_NO_WARNINGS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "workspace": "default",
        "echo": "hello",
        "entry": "HTTP API",
        "updated": "Shop",
        "keys": 2,
        "keysLeft": 1,
        "settings": "https://example.com/hook",
        "connected": 1,
        "renamed": "Renamed",
        "apart": 0,
        "joined": True,
        "deleted": ["SUCCESS", "SUCCESS"],
        "gone": [404, "not_found"],
    }
