import { describe, expect, it } from 'vitest'
import type { FaultCode } from '../../src/soap/index.ts'
import { xml } from '../../src/soap/index.ts'
import { type Got, own, type RawPeer, Served, soap11, soap12, wsa10 } from './support.ts'

// What the SOAP 1.2 test collection (W3C, second edition) says about headers, roles, versions and document types, as
// cases of our own: with the addressing and the session that our server wants besides. The numbers are the collection's.
// Node C is us; B is an intermediary that is not there. T17, T18 and T21 are about intermediaries.

const test = 'http://example.org/ts-tests'
const role = { b: `${test}/B`, c: `${test}/C`, next: `${soap12}/role/next`, none: `${soap12}/role/none` }
const ultimate = `${soap12}/role/ultimateReceiver`

const block = (name: string, attributes = ''): string => `<t:${name} xmlns:t="${test}" ${attributes}>foo</t:${name}>`
const forRole = (uri: string, must = ''): string =>
  `env:role="${uri}"${must === '' ? '' : ` env:mustUnderstand="${must}"`}`

/** An envelope with a prefix of its own, as others write it. */
function message({ sessionId }: RawPeer, headers: string, body = '', namespace: string = soap12): string {
  const addressing = `<a:Action>urn:test/echo</a:Action><a:MessageID>urn:m</a:MessageID><Session xmlns="${own}">${sessionId}</Session>`
  return `<env:Envelope xmlns:env="${namespace}" xmlns:a="${wsa10}"><env:Header>${addressing}${headers}</env:Header><env:Body>${body}</env:Body></env:Envelope>`
}

async function run(text: (raw: RawPeer) => string): Promise<{ answer: Got; worked: number; rejected: string[] }> {
  let worked = 0
  await using served = await Served.start({
    processors: {
      'urn:test/echo': () => {
        worked++
        return xml(test, 'responseOk', 'foo')
      },
    },
    roles: [role.c],
    understands: ({ namespace, name }) => namespace === test && name === 'echoOk',
  })
  const raw = await served.raw()
  await raw.login()
  await raw.sendText(text(raw))
  return { answer: await raw.next(), worked, rejected: served.rejected }
}

describe('of the SOAP 1.2 test collection', () => {
  it.each<[string, string, FaultCode | undefined]>([
    ['T1: a block for the next', block('echoOk', forRole(role.next)), undefined],
    ['T2: a block for a role of ours', block('echoOk', forRole(role.c)), undefined],
    ['T3: a block without a role', block('echoOk'), undefined],
    ['T4: a block for the ultimate receiver', block('echoOk', forRole(ultimate)), undefined],
    ['T5: a block for somebody else', block('echoOk', forRole(role.b)), undefined],
    [
      'T8: blocks for us, for somebody else and for nobody',
      [block('echoOk'), block('Ignore', forRole(role.b)), block('echoOk', forRole(role.none))].join(''),
      undefined,
    ],
    ['T10: an unknown block', block('Unknown', forRole(ultimate)), undefined],
    ['T11: an unknown block that need not be understood', block('Unknown', forRole(ultimate, 'false')), undefined],
    ['T12: an unknown block that must be, as 1', block('Unknown', forRole(ultimate, '1')), 'MustUnderstand'],
    ['T13: an unknown block that must be, as true', block('Unknown', forRole(ultimate, 'true')), 'MustUnderstand'],
    ['T14: a must that is no boolean', block('echoOk', forRole(ultimate, 'wrong')), 'Sender'],
    ['T15: an unknown block that somebody else must understand', block('Unknown', forRole(role.b, '1')), undefined],
    ['T16: an unknown block for a role of ours', block('Unknown', forRole(role.c, '1')), 'MustUnderstand'],
    ['T19: a block that nobody must understand', block('echoOk', forRole(role.none, 'true')), undefined],
    ['T22: a known block that must be understood', block('echoOk', 'env:mustUnderstand = "1"'), undefined],
    [
      'T23: an unknown block, and a must that is no boolean',
      block('Unknown', 'env:mustUnderstand="1"') + block('echoOk', 'env:mustUnderstand="wrong"'),
      'Sender',
    ],
  ])('%s', async (_what, headers, code) => {
    const { answer, worked } = await run((raw) => message(raw, headers))
    expect([answer.fault?.faultCode, worked]).toEqual([code, code === undefined ? 1 : 0])
    expect(answer.relatesTo).toBe('urn:m')
    if (code === undefined) expect(answer.body?.is('responseOk', test)).toBe(true)
    const unknown = answer.header('NotUnderstood')
    expect(unknown !== undefined).toBe(code === 'MustUnderstand')
    const [prefix = '', name] = (unknown?.attribute('qname') ?? '').split(':')
    if (unknown !== undefined) expect([unknown.resolve(prefix), name]).toEqual([test, 'Unknown'])
  })

  it('T24: an envelope of another version', async () => {
    const { answer, worked, rejected } = await run((raw) => message(raw, '', block('echoOk'), 'http://wrong-version/'))
    expect([answer.fault?.faultCode, answer.version, worked]).toEqual(['VersionMismatch', '1.2', 0])
    const versions = answer.header('Upgrade')?.all('SupportedEnvelope', soap12)
    expect(versions?.map((one) => one.resolve((one.attribute('qname') ?? '').split(':')[0] ?? ''))).toEqual([
      soap12,
      soap11,
    ])
    expect(rejected).toEqual(['version'])
  })

  it.each([
    ['T25: a document type', (text: string) => `<!DOCTYPE env:Envelope SYSTEM "env.dtd"[]>${text}`],
    // The collection lets receivers of T26 take it; SOAP itself says that senders must not send it, and we refuse it.
    ['T26: a processing instruction', (text: string) => text.replace('<env:Body>', '<?xml-stylesheet href="x"?>$&')],
  ])('%s', async (_what, change) => {
    const { answer, worked, rejected } = await run((raw) => change(message(raw, '', block('echoOk'))))
    expect([answer.fault?.faultCode, worked, rejected]).toEqual(['Sender', 0, ['xml']])
  })
})
