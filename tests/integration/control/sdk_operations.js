// Prints what Segment's SDK can ask for, [method of the SDK, HTTP method, path], without asking for any of it.
const sdk = require('@segment/public-api-sdk-typescript')

const OWN = new Set(['constructor', 'setDefaultAuthentication', 'setApiKey', 'addInterceptor'])

async function main() {
  const found = []
  for (const Api of Object.values(sdk).filter((each) => /Api$/.test(each.name ?? ''))) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(Api.prototype))) {
      if (typeof value !== 'function' || OWN.has(name)) continue
      const api = new Api('http://sdk')
      api.addInterceptor((request) => {
        found.push([name, request.method, decodeURIComponent(request.uri).replace('http://sdk', '')])
        throw new Error('seen')
      })
      const parameters = value.toString().match(/\(([^)]*)\)/)[1].split(', ').slice(0, -1)
      await value.apply(api, parameters.map((each) => `{${each}}`)).catch(() => {})
    }
  }
  console.log(JSON.stringify(found))
}
main()
