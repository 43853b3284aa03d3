"""Segment's own TypeScript SDK, unmodified, drives sources, destinations, warehouses and what stands between."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SDK = Path(os.environ.get("HEADWATER_TEST_NODE_SDK", Path(__file__).parents[3] / ".stamps" / "node-sdk"))
PACKAGE = SDK / "node_modules" / "@segment" / "public-api-sdk-typescript"
ANSWERS = Path(__file__).with_name("sdk_answers.js")
"""Holds every answer against the model that the SDK declares for it, member by member."""

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
  const targets = (await of(catalog.getDestinationsCatalog({ count: 100 }))).destinationsCatalog
  seen.target = (await of(catalog.getDestinationMetadata(targets[0].id))).destinationMetadata.id === targets[0].id
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
  seen.listed = (await of(destinations.listDestinations({ count: 10 }))).destinations[0].id === destination.id
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


DELIVERY = """
const sdk = require('@segment/public-api-sdk-typescript')
const [url, token] = process.argv.slice(2)
const made = (Api) => { const api = new Api(url); api.accessToken = token; return api }
const [sources, destinations, filters, functions] = ['SourcesApi', 'DestinationsApi', 'DestinationFiltersApi',
  'FunctionsApi'].map((name) => made(sdk[name]))
const of = async (call) => (await call).body.data
const page = { count: 10 }
async function main() {
  const seen = {}
  const { source } = await of(sources.createSource({ slug: 'website', enabled: true, metadataId: 'http-api' }))
  const { destination } = await of(destinations.createDestination({ sourceId: source.id, metadataId: 'webhook',
    name: 'Hook', enabled: true, settings: { url: 'https://example.com/hook' } }))
  const id = destination.id
  const filter = (await of(filters.createFilterForDestination(id, { sourceId: source.id, if: 'all', title: 'None',
    actions: [{ type: 'DROP' }], enabled: true }))).filter
  seen.filters = (await of(filters.listFiltersFromDestination(id, page))).filters.map((each) => each.title)
  seen.off = (await of(filters.updateFilterForDestination(id, filter.id, { enabled: false }))).filter.enabled
  seen.action = (await of(filters.getFilterInDestination(id, filter.id))).filter.actions[0].type
  seen.preview = (await of(filters.previewDestinationFilter({ payload: { type: 'track' },
    filter: { if: 'all', actions: [{ type: 'DROP' }] } }))).result
  seen.removed = (await of(filters.removeFilterFromDestination(id, filter.id))).status
  const { destinationSubscription: mapping } = await of(destinations.createDestinationSubscription(id, {
    name: 'Euro', actionId: 'event', trigger: 'type = "track"', enabled: true,
    settings: { 'properties.currency': 'EUR' } }))
  const change = { input: { name: 'Dollar' } }
  seen.mapping = (await of(destinations.updateSubscriptionForDestination(id, mapping.id, change))).subscription.name
  seen.trigger = (await of(destinations.getSubscriptionFromDestination(id, mapping.id))).subscription.trigger
  seen.mappings = (await of(destinations.listSubscriptionsFromDestination(id, page))).subscriptions.length
  seen.unmapped = (await of(destinations.removeSubscriptionFromDestination(id, mapping.id))).status
  const code = 'async function onTrack(event) { return event }'
  const written = (await of(functions.createFunction({ code, displayName: 'Clean',
    resourceType: 'INSERT_DESTINATION', settings: [{ name: 'token', label: 'Token', description: '', type: 'STRING',
      required: true, sensitive: true }] }))).function
  seen.deployed = (await of(functions.createFunctionDeployment(written.id))).functionDeployment.status
  await functions.updateFunction(written.id, { code: code + ' // 2' })
  const versions = (await of(functions.listFunctionVersions(written.id, page))).versions
  seen.versions = versions.map((each) => each.isDeployed)
  const versionId = versions[1].id
  seen.first = (await of(functions.getFunctionVersion(written.id, versionId))).version.code === code
  seen.restored = (await of(functions.restoreFunctionVersion(written.id, { versionId }))).version.code === code
  seen.latest = (await of(functions.getFunction(written.id))).function.isLatestVersion
  seen.functions = (await of(functions.listFunctions(page, 'INSERT_DESTINATION'))).functions.length
  const put = (await of(functions.createInsertFunctionInstance({ functionId: written.id, integrationId: id,
    name: 'Here', enabled: true, settings: { token: 'secret-token' } }))).insertFunctionInstance
  seen.hidden = put.encryptedSettings.token !== 'secret-token'
  const moved = functions.updateInsertFunctionInstance(put.id, { enabled: false, settings: {} })
  seen.put = (await of(moved)).insertFunctionInstance.enabled
  seen.shown = (await of(functions.getInsertFunctionInstance(put.id))).insertFunctionInstance.name
  seen.instances = (await of(functions.listInsertFunctionInstances(page, written.id))).instances.length
  seen.taken = [(await of(functions.deleteInsertFunctionInstance(put.id))).status,
    (await of(functions.deleteFunction(written.id))).status]
  seen.figures = (await of(destinations.listDeliveryMetricsSummaryFromDestination(id, source.id, undefined, undefined,
    'DAY'))).deliveryMetricsSummary.metrics[0].metricName
  console.log(JSON.stringify(seen))
}
main().catch((error) => { console.error(error.body ? JSON.stringify(error.body) : error); process.exit(1) })
"""


def driven(running, tmp_path, text):
    """Return what a script that uses the SDK prints; fails where an answer is not as the SDK's model says."""
    script = tmp_path / "drive.js"
    script.write_text(text)
    done = subprocess.run(
        ["node", "--require", ANSWERS, script, running.url, running.tokens["owner"]],
        env={**os.environ, "NODE_PATH": str(SDK / "node_modules"), "NODE_NO_WARNINGS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not shutil.which("node") or not PACKAGE.exists(), reason="Segment's TypeScript SDK needs npm")
def test_the_official_sdk_works_unchanged(running, tmp_path):
    assert driven(running, tmp_path, SCRIPT) == {
        "workspace": "default",
        "echo": "hello",
        "entry": "HTTP API",
        "target": True,
        "updated": "Shop",
        "keys": 2,
        "keysLeft": 1,
        "settings": "https://example.com/hook",
        "connected": 1,
        "listed": True,
        "renamed": "Renamed",
        "apart": 0,
        "joined": True,
        "deleted": ["SUCCESS", "SUCCESS"],
        "gone": [404, "not_found"],
    }


@pytest.mark.skipif(not shutil.which("node") or not PACKAGE.exists(), reason="Segment's TypeScript SDK needs npm")
def test_the_official_sdk_drives_filters_mappings_and_functions(running, tmp_path):
    assert driven(running, tmp_path, DELIVERY) == {
        "filters": ["None"],
        "off": False,
        "action": "DROP",
        "preview": None,
        "removed": "SUCCESS",
        "mapping": "Dollar",
        "trigger": 'type = "track"',
        "mappings": 1,
        "unmapped": "SUCCESS",
        "deployed": "SUCCESS",
        "versions": [False, True],
        "first": True,
        "restored": True,
        "latest": False,
        "functions": 1,
        "hidden": True,
        "put": False,
        "shown": "Here",
        "instances": 1,
        "taken": ["SUCCESS", "SUCCESS"],
        "figures": "successes",
    }
