"""Segment's own TypeScript SDK, unmodified, drives labels, people, schema controls, privacy, audit and figures."""

import pytest
from test_segment_public_api_sdk import PACKAGE, driven

SCRIPT = """
const sdk = require('@segment/public-api-sdk-typescript')
const [url, token] = process.argv.slice(2)
const made = (Api) => { const api = new Api(url); api.accessToken = token; return api }
const [sources, labels, users, roles, audit, privacy, plans, events, overview, catalog, destinations] = ['Sources',
  'Labels', 'IAMUsers', 'IAMRoles', 'AuditTrail', 'DeletionAndSuppression', 'TrackingPlans', 'Events',
  'DeliveryOverview', 'Catalog', 'Destinations'].map((name) => made(sdk[`${name}Api`]))
const of = async (call) => (await call).body.data
const page = { count: 100 }
async function main() {
  const seen = {}
  const entry = async (slug) => (await of(catalog.getSourcesCatalog(page))).sourcesCatalog.find((s) => s.slug === slug)
  const metadataId = (await entry('http-api')).id
  const { source } = await of(sources.createSource({ slug: 'website', enabled: true, metadataId }))

  const label = { key: 'environment', value: 'production', description: 'What customers see' }
  seen.label = (await of(labels.createLabel({ label }))).label
  seen.labels = (await of(labels.listLabels())).labels.length
  seen.given = (await of(sources.addLabelsToSource(source.id, { labels: [label] }))).labels.length
  seen.shown = (await of(sources.getSource(source.id))).source.labels[0].value
  seen.replaced = (await of(sources.replaceLabelsInSource(source.id, { labels: [] }))).labels
  seen.unlabelled = (await of(labels.deleteLabel('environment', 'production'))).status

  seen.roles = (await of(roles.listRoles(page))).roles.map((each) => each.name).length
  const role = (await of(roles.listRoles(page))).roles.find((each) => /read-only/i.test(each.name))
  const permission = { roleId: role.id, resources: [{ id: source.workspaceId, type: 'WORKSPACE' }] }
  await users.createInvites({ invites: [{ email: 'new@example.com', permissions: [permission] }] })
  seen.invited = (await of(users.listInvites(page))).invites
  seen.uninvited = (await of(users.deleteInvites(['new@example.com']))).status
  const person = (await of(users.listUsers(page))).users.find((each) => each.email === 'member@example.com')
  seen.person = (await of(users.getUser(person.id))).user.email
  seen.permissions = (await of(users.replacePermissionsForUser(person.id, { permissions: [permission] })))
    .permissions.length
  seen.removed = (await of(users.deleteUsers([person.id]))).status

  const schema = { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object', properties: { properties: {
    type: 'object', properties: { price: { type: 'number' } }, required: ['price'] } } }
  const { trackingPlan } = await of(plans.createTrackingPlan({ name: 'Shop', type: 'LIVE' }))
  seen.plan = (await of(plans.getTrackingPlan(trackingPlan.id))).trackingPlan.name
  await plans.updateTrackingPlan(trackingPlan.id, { name: 'Shop 2' })
  seen.plans = (await of(plans.listTrackingPlans(page))).trackingPlans[0].name
  const rule = { type: 'TRACK', key: 'Order Completed', jsonSchema: schema, version: 1 }
  await plans.replaceRulesInTrackingPlan(trackingPlan.id, { rules: [rule] })
  await plans.updateRulesInTrackingPlan(trackingPlan.id, { rules: [{ ...rule, key: 'Order Cancelled' }] })
  seen.rules = (await of(plans.listRulesFromTrackingPlan(trackingPlan.id, page))).rules.length
  await plans.removeRulesFromTrackingPlan(trackingPlan.id, [{ type: 'TRACK', key: 'Order Cancelled', version: 1 }])
  await plans.addSourceToTrackingPlan(trackingPlan.id, { sourceId: source.id })
  seen.planned = (await of(plans.listSourcesFromTrackingPlan(trackingPlan.id, page))).sources.length
  seen.held = (await of(sources.getSource(source.id))).trackingPlanId === trackingPlan.id
  const settings = { track: { allowUnplannedEvents: false, commonEventOnViolations: 'ALLOW' } }
  await sources.updateSchemaSettingsInSource(source.id, settings)
  seen.blocks = (await of(sources.listSchemaSettingsInSource(source.id))).settings.track.allowUnplannedEvents
  await plans.removeSourceFromTrackingPlan(trackingPlan.id, source.id)
  seen.unplanned = (await of(plans.deleteTrackingPlan(trackingPlan.id))).status

  const wanted = { regulationType: 'SUPPRESS_ONLY', subjectType: 'USER_ID', subjectIds: ['u-1', 'u-2'] }
  const { regulateId } = await of(privacy.createWorkspaceRegulation(wanted))
  seen.regulation = typeof (await of(privacy.getRegulation(regulateId))).regulation.overallStatus
  seen.regulations = (await of(privacy.listWorkspaceRegulations(page))).regulations.length
  seen.suppressed = (await of(privacy.listSuppressions(page))).suppressed.length
  await privacy.createSourceRegulation(source.id, wanted)
  seen.ofSource = (await of(privacy.listRegulationsFromSource(source.id, page))).regulations.length
  const cloud = (await of(sources.createSource({ slug: 'mail', enabled: true,
    metadataId: (await entry('activecampaign')).id }))).source
  const ofCloud = await of(privacy.createCloudSourceRegulation(cloud.id, { ...wanted, regulationType: 'DELETE_INTERNAL',
    subjectIds: Array.from({ length: 101 }, (_, each) => `u-${each}`), collection: 'users' }))
  seen.undone = (await of(privacy.deleteRegulation(ofCloud.regulateId))).status

  const [until, since] = [new Date(), new Date(Date.now() - 3600e3)].map((each) => each.toISOString())
  const volume = await of(events.getEventsVolumeFromWorkspace('HOUR', since, until, ['eventName'], [source.id]))
  seen.volume = volume.result.map((each) => [each.eventName, each.total])
  const received = await of(overview.getIngressSuccessMetricsFromDeliveryOverview(source.id, since, until, 'hour', page,
    ['eventName']))
  seen.received = [received.total, received.dataset.length]
  const blocked = await of(overview.getFilteredAtSourceMetricsFromDeliveryOverview(source.id, since, until, 'hour',
    page, ['discardReason']))
  seen.blocked = blocked.total
  seen.refused = (await of(overview.getIngressFailedMetricsFromDeliveryOverview(source.id, since, until, 'hour',
    page))).total

  const { destination } = await of(destinations.createDestination({ sourceId: source.id, metadataId: 'webhook',
    name: 'Hook', enabled: true, settings: { url: 'https://example.com/hook' } }))
  const span = [source.id, destination.id, since, until, 'hour', page]
  seen.delivered = [await of(overview.getEgressSuccessMetricsFromDeliveryOverview(...span)),
    await of(overview.getEgressFailedMetricsFromDeliveryOverview(...span)),
    await of(overview.getFilteredAtDestinationMetricsFromDeliveryOverview(...span))].map((each) => each.total)

  const trail = (await of(audit.listAuditEvents(page))).events
  seen.trail = ['Source Created', 'Tracking Plan Created'].map((type) => trail.filter((e) => e.type === type).length)
  console.log(JSON.stringify(seen))
}
main().catch((error) => { console.error(error.body ? JSON.stringify(error.body) : error); process.exit(1) })
"""


@pytest.mark.skipif(not PACKAGE.exists(), reason="Segment's TypeScript SDK needs npm")
def test_the_official_sdk_drives_the_other_families(running, tmp_path):
    control, workspace = running.control, running.workspace
    control.users.add(workspace.id, "owner@example.com", "Owner", "owner")
    control.users.add(workspace.id, "member@example.com", "Member", "member")
    seen = driven(running, tmp_path, SCRIPT)
    print(seen)
    assert seen["label"] == {"key": "environment", "value": "production", "description": "What customers see"}
    assert [seen[each] for each in ("labels", "given", "shown", "replaced")] == [1, 1, "production", []]
    assert [seen[each] for each in ("unlabelled", "uninvited", "removed", "unplanned")] == ["SUCCESS"] * 4
    assert seen["roles"] >= 4
    assert seen["invited"] == ["new@example.com"]
    assert (seen["person"], seen["permissions"]) == ("member@example.com", 1)
    assert (seen["plan"], seen["plans"], seen["rules"], seen["planned"], seen["blocks"]) == (
        "Shop",
        "Shop 2",
        2,
        1,
        False,
    )
    assert seen["held"]
    assert (seen["regulation"], seen["regulations"], seen["ofSource"], seen["undone"]) == ("string", 1, 1, "SUCCESS")
    assert seen["suppressed"] >= 0
    assert (seen["volume"], seen["received"], seen["blocked"], seen["refused"]) == ([], [0, 0], 0, 0)
    assert seen["delivered"] == [5, 1, 2]
    assert seen["trail"] == [2, 1]
