"""Segment's own TypeScript SDK, unmodified, drives members, roles and invitations."""

import shutil

import pytest
from test_segment_public_api_sdk import PACKAGE, driven

SCRIPT = """
const sdk = require('@segment/public-api-sdk-typescript')
const [url, token] = process.argv.slice(2)
const made = (Api) => { const api = new Api(url); api.accessToken = token; return api }
const [users, roles, workspaces, sources] = ['IAMUsersApi', 'IAMRolesApi', 'WorkspacesApi', 'SourcesApi'].map(
  (name) => made(sdk[name]))
const of = async (call) => (await call).body.data
async function main() {
  const seen = {}
  const workspace = (await of(workspaces.getWorkspace())).workspace.id
  const all = (await of(roles.listRoles({ count: 10 }))).roles
  const id = (name) => all.find((each) => each.name === name).id
  const [source] = (await of(sources.listSources({ count: 10 }))).sources
  const whole = [{ id: workspace, type: 'WORKSPACE' }]
  seen.invited = (await of(users.createInvites({ invites: [
    { email: 'dee@example.com', permissions: [{ roleId: id('Workspace Owner'), resources: whole }] },
    { email: 'eve@example.com', permissions: [{ roleId: id('Source Admin'), resources: [
      { id: source.id, type: 'SOURCE' }] }] }] }))).emails
  seen.invites = (await of(users.listInvites({ count: 1 }))).invites
  seen.taken = (await of(users.deleteInvites(seen.invited))).status
  seen.left = (await of(users.listInvites({ count: 10 }))).invites
  const ann = (await of(users.listUsers({ count: 10 }))).users.find((each) => each.email === 'ann@example.com')
  const told = (permissions) => permissions.map((each) => [each.roleName, each.resources.map((one) => one.type)])
  seen.first = told((await of(users.getUser(ann.id))).user.permissions)
  seen.added = told((await of(users.addPermissionsToUser(ann.id, { permissions: [
    { roleId: id('Source Admin'), resources: [{ id: source.id, type: 'SOURCE' }] }] }))).permissions)
  seen.replaced = told((await of(users.replacePermissionsForUser(ann.id, { permissions: [
    { roleId: id('Workspace Member'), resources: whole }] }))).permissions)
  seen.removed = (await of(users.deleteUsers([ann.id]))).status
  await users.getUser(ann.id).catch((error) => { seen.gone = [error.statusCode, error.body.errors[0].type] })
  console.log(JSON.stringify(seen))
}
main().catch((error) => { console.error(error.body ? JSON.stringify(error.body) : error); process.exit(1) })
"""


@pytest.mark.skipif(not shutil.which("node") or not PACKAGE.exists(), reason="Segment's TypeScript SDK needs npm")
def test_the_official_sdk_drives_people(running, tmp_path):
    control, workspace = running.control, running.workspace.id
    control.sources.create(workspace, "site", "http-api")
    for name, role in (("olivia", "owner"), ("ann", "read-only")):
        control.users.add(workspace, f"{name}@example.com", name.title(), role)
    assert driven(running, tmp_path, SCRIPT) == {
        "invited": ["dee@example.com", "eve@example.com"],
        "invites": ["dee@example.com"],
        "taken": "SUCCESS",
        "left": [],
        "first": [["Source Read-only", ["WORKSPACE"]]],
        "added": [["Source Admin", ["SOURCE"]]],
        "replaced": [["Workspace Member", ["WORKSPACE"]]],
        "removed": "SUCCESS",
        "gone": [404, "not_found"],
    }
