// Loaded before a script that drives Segment's SDK: holds each answer, as it came, against the model the SDK reads it by.
// The SDK itself passes over what is missing or of another type; here the process fails and names it.
const fs = require('fs')
const path = require('path')
const models = require('@segment/public-api-sdk-typescript/dist/model/models.js')
const MODELS = path.dirname(require.resolve('@segment/public-api-sdk-typescript/dist/model/models.js'))
const PRIMITIVE = { string: 'string', number: 'number', boolean: 'boolean' }
const complaints = new Set()

// What a model may leave out, and what may be null; the time of an end that has not come is null, as no text fits it.
function loose(type) {
  const text = fs.readFileSync(path.join(MODELS, type[0].toLowerCase() + type.slice(1) + '.d.ts'), 'utf8')
  const names = (pattern) => [...text.matchAll(pattern)].map((each) => each[1])
  return { missing: new Set(names(/^ {4}'(\w+)'\?:/gm)),
    empty: new Set([...names(/^ {4}'(\w+)'\??: .* \| null;/gm), 'finishedAt']) }
}

function known(type) {
  const [model, inner] = type.split('.')
  return inner ? models[model]?.[inner] : models[model]
}

function hold(value, type, where) {
  const wrong = (told) => complaints.add(`${where}: ${told}`)
  if (type === 'any' || value === undefined) return
  if (value === null) return wrong(`null where ${type} is declared`)
  const map = type.match(/^\{ \[key: string\]: (.*?);? \}$/)
  const list = type.match(/^(?:Array|Set)<(.*)>$/)
  if (list) {
    if (!Array.isArray(value)) return wrong(`no list`)
    return value.forEach((each) => hold(each, list[1], `${where}[]`))
  }
  if (type === 'object' || map) {
    if (typeof value !== 'object' || Array.isArray(value)) return wrong('no object')
    if (map) Object.values(value).forEach((each) => hold(each, map[1], `${where}.*`))
    return
  }
  if (type === 'Date') return Number.isNaN(Date.parse(value)) ? wrong(`${value} is no date`) : undefined
  if (PRIMITIVE[type]) return typeof value === PRIMITIVE[type] ? undefined : wrong(`${typeof value}, not ${type}`)
  const model = known(type)
  if (!model) return wrong(`the SDK has no ${type}`)
  if (!model.getAttributeTypeMap) {
    return Object.values(model).includes(value) ? undefined : wrong(`${value} is none of ${Object.values(model)}`)
  }
  if (typeof value !== 'object' || Array.isArray(value)) return wrong(`no ${type}`)
  const { missing, empty } = loose(type)
  for (const { baseName: name, type: declared } of model.getAttributeTypeMap()) {
    if (value[name] === undefined && !missing.has(name)) wrong(`${name} of ${type} is missing`)
    if (value[name] !== null || !empty.has(name)) hold(value[name], declared, `${where}.${name}`)
  }
}

const { deserialize } = models.ObjectSerializer
models.ObjectSerializer.deserialize = (value, type) => {
  if (/Response\d*$/.test(type)) {
    if (value?.data === undefined && value?.errors === undefined) complaints.add(`${type}: neither data nor errors`)
    hold(value, type, type)
  }
  return deserialize(value, type)
}
process.on('exit', () => {
  if (complaints.size) {
    process.stderr.write([...complaints].join('\n') + '\n')
    process.exitCode = 1
  }
})
