import { describe, expect, it } from 'vitest'
import { writeFault } from '../../src/soap/envelope-writer.ts'
import { SoapFault } from '../../src/soap/fault.ts'
import { type Refused, readMessage } from '../../src/soap/incoming.ts'
import type { SoapMessage } from '../../src/soap/message.ts'
import { writeFaultMessage, writeMessage, writeRefusal } from '../../src/soap/outgoing.ts'
import { xml } from '../../src/soap/xml/build.ts'
import { readXml } from '../../src/soap/xml/reader.ts'
import { soap11, soap12, wsa10, wsa2004 } from './support.ts'

function read(text: string, understands?: string): SoapMessage | Refused {
  return readMessage(readXml(text), [], undefined, {
    understands: understands === undefined ? undefined : ({ name }) => name === understands,
  })
}

function taken(text: string): SoapMessage {
  const message = read(text)
  if ('rejection' in message) throw message.rejection
  return message
}

function refused(text: string): Refused {
  const message = read(text)
  if (!('rejection' in message)) throw new Error('it was taken')
  return message
}

const envelope = (namespace: string, headers: string, body = '<x xmlns="urn:x"/>', after = ''): string =>
  `<e:Envelope xmlns:e="${namespace}" xmlns:a="${wsa10}" xmlns:o="${wsa2004}"><e:Header>${headers}</e:Header><e:Body>${body}</e:Body>${after}</e:Envelope>`
const action = '<a:Action>urn:act</a:Action>'

describe('an envelope', () => {
  it('is read in both versions', () => {
    for (const [namespace, version] of [
      [soap11, '1.1'],
      [soap12, '1.2'],
    ] as const) {
      const message = taken(envelope(namespace, `${action}<a:MessageID>urn:1</a:MessageID>`))
      expect(message).toMatchObject({ version, action: 'urn:act', fault: undefined })
      expect(message.body?.namespace).toBe('urn:x')
      expect(message.addressing.messageId).toBe('urn:1')
    }
  })

  it.each([
    ['no envelope', '<x/>', 'envelope'],
    ['no body', `<e:Envelope xmlns:e="${soap12}"><e:Header/></e:Envelope>`, 'envelope'],
    ['two headers', `<e:Envelope xmlns:e="${soap12}"><e:Header/><e:Header/><e:Body/></e:Envelope>`, 'envelope'],
    ['a header after the body', `<e:Envelope xmlns:e="${soap11}"><e:Body/><e:Header/></e:Envelope>`, 'envelope'],
    ['something after the body, in 1.2', envelope(soap12, action, '', '<x xmlns="urn:x"/>'), 'envelope'],
    ['text in the envelope', `<e:Envelope xmlns:e="${soap12}">t<e:Body/></e:Envelope>`, 'envelope'],
    ['text in the body', envelope(soap12, action, 't'), 'envelope'],
    ['a header block of no namespace', envelope(soap12, `${action}<x/>`), 'envelope'],
    [
      'encodingStyle on the body, in 1.2',
      envelope(soap12, action).replace('<e:Body>', '<e:Body e:encodingStyle="u">'),
      'envelope',
    ],
    [
      'a mustUnderstand that is no boolean',
      envelope(soap12, `${action}<x xmlns="u" e:mustUnderstand="wrong"/>`),
      'envelope',
    ],
    ['mustUnderstand="true" in 1.1', envelope(soap11, `${action}<x xmlns="u" e:mustUnderstand="true"/>`), 'envelope'],
    ['another version', envelope('http://wrong-version/', action), 'version'],
  ])('is refused with %s', (_what, text, reason) => {
    const { rejection } = refused(text)
    expect(rejection.reason).toBe(reason)
    expect(rejection.fault?.faultCode).toBe(reason === 'version' ? 'VersionMismatch' : 'Sender')
  })

  it('of SOAP 1.1 may have elements after the body', () => {
    expect(taken(envelope(soap11, action, '', '<x xmlns="urn:x"/>')).bodies).toEqual([])
  })

  it('of another version is answered with what versions there are', () => {
    const answer = writeRefusal(refused(envelope('http://wrong-version/', action)))
    const fault = readXml(answer as string)
    const upgrade = fault.child('Header')?.child('Upgrade', soap12)
    const versions = upgrade?.all('SupportedEnvelope').map((one) => {
      const [prefix = ''] = (one.attribute('qname') ?? '').split(':')
      return one.resolve(prefix)
    })
    expect(versions).toEqual([soap12, soap11])
  })
})

// Those of the SOAP 1.2 test collection that are about headers, roles and versions say the same things.
describe('a header block that must be understood', () => {
  const block = (attributes: string): string => `${action}<x xmlns="urn:unknown" ${attributes}/>`
  const next = `${soap12}/role/next`
  it.each([
    ['for everybody', 'e:mustUnderstand="1"', true],
    ['for everybody, spelled true', 'e:mustUnderstand="true"', true],
    ['for the next', `e:mustUnderstand="true" e:role="${next}"`, true],
    ['for the ultimate receiver', `e:mustUnderstand="1" e:role="${soap12}/role/ultimateReceiver"`, true],
    ['for a role that is empty', 'e:mustUnderstand="1" e:role=""', true],
    ['for nobody', `e:mustUnderstand="1" e:role="${soap12}/role/none"`, false],
    ['for another', 'e:mustUnderstand="1" e:role="http://example.org/b"', false],
    ['or rather need not be', 'e:mustUnderstand="0"', false],
    ['or rather need not be, spelled false', 'e:mustUnderstand="false"', false],
    ['or rather says nothing of it', `e:role="${next}"`, false],
    ['in the words of another version', `xmlns:f="${soap11}" f:mustUnderstand="1"`, false],
  ])('%s', (_what, attributes, isRefused) => {
    const message = read(envelope(soap12, block(attributes)))
    expect('rejection' in message).toBe(isRefused)
    if ('rejection' in message) {
      expect(message.rejection.fault?.faultCode).toBe('MustUnderstand')
      expect(message.rejection.fault?.faultHeaders.map(({ name }) => name)).toEqual(['NotUnderstood'])
    }
  })

  it('for the next actor of SOAP 1.1, and not for another', () => {
    const actor = (uri: string): string => block(`e:mustUnderstand="1" e:actor="${uri}"`)
    expect(refused(envelope(soap11, actor('http://schemas.xmlsoap.org/soap/actor/next'))).rejection.reason).toBe(
      'must-understand',
    )
    expect(taken(envelope(soap11, actor('http://example.org/other'))).action).toBe('urn:act')
  })

  it('is named in the fault, and all of its kind are', () => {
    const two = `${action}<x xmlns="urn:p" e:mustUnderstand="1"/><y xmlns="urn:q" e:mustUnderstand="1"/>`
    const answer = readXml(writeRefusal(refused(envelope(soap12, two))) as string)
    const named = answer
      .child('Header')
      ?.all('NotUnderstood', soap12)
      .map((one) => {
        const [prefix = '', name] = (one.attribute('qname') ?? '').split(':')
        return `${one.resolve(prefix)} ${name}`
      })
    expect(named).toEqual(['urn:p x', 'urn:q y'])
  })

  it('is taken by who understands it', () => {
    expect('rejection' in read(envelope(soap12, block('e:mustUnderstand="1"')), 'x')).toBe(false)
    const addressed = '<a:Action e:mustUnderstand="1">urn:act</a:Action>'
    expect(taken(envelope(soap12, addressed)).action).toBe('urn:act')
  })
})

describe('addressing', () => {
  it('is read in both versions', () => {
    const headers = (p: string): string =>
      `<${p}:Action>urn:act</${p}:Action><${p}:To>soap.tcp://h/p</${p}:To><${p}:RelatesTo>urn:0</${p}:RelatesTo>` +
      `<${p}:ReplyTo><${p}:Address>urn:reply</${p}:Address><${p}:ReferenceParameters><k xmlns="urn:k">1</k></${p}:ReferenceParameters></${p}:ReplyTo>`
    for (const [prefix, version] of [
      ['a', '1.0'],
      ['o', '2004/08'],
    ] as const) {
      const { addressing } = taken(envelope(soap12, headers(prefix)))
      expect(addressing).toMatchObject({ version, action: 'urn:act', to: 'soap.tcp://h/p', relatesTo: 'urn:0' })
      expect(addressing.replyTo?.address).toBe('urn:reply')

      expect(addressing.replyTo?.parameters[0]?.text).toBe('1')
    }
  })

  it.each([
    ['without an action', '', ['MessageAddressingHeaderRequired']],
    ['with an empty action', '<a:Action> </a:Action>', ['MessageAddressingHeaderRequired']],
    ['without an action, in the older version', '<o:To>x</o:To>', ['MessageInformationHeaderRequired']],
    ['with two of To', `${action}<a:To>x</a:To><a:To>y</a:To>`, ['InvalidAddressingHeader', 'InvalidCardinality']],
    ['with two actions', `${action}${action}`, ['InvalidAddressingHeader', 'InvalidCardinality']],
    [
      'with two of To, in the older version',
      '<o:Action>x</o:Action><o:To>x</o:To><o:To>y</o:To>',
      ['InvalidMessageInformationHeader'],
    ],
    ['with a reference to nowhere', `${action}<a:ReplyTo/>`, ['InvalidAddressingHeader', 'MissingAddressInEPR']],
    ['with an endless id', `${action}<a:MessageID>${'x'.repeat(3_000)}</a:MessageID>`, ['InvalidAddressingHeader']],
  ])('is refused %s', (_what, headers, subcodes) => {
    const { rejection } = refused(envelope(soap12, headers))
    expect(rejection.reason).toBe('addressing')
    expect(rejection.fault?.subcodes.map(({ name }) => name)).toEqual(subcodes)
  })

  it('is written in the version and with the parameters of who asked', () => {
    const asked = taken(
      envelope(
        soap12,
        `${action}<a:ReplyTo><a:Address>urn:r</a:Address><a:ReferenceParameters><k xmlns="urn:k"/></a:ReferenceParameters></a:ReplyTo>`,
      ),
    )
    const { parameters, address } = asked.addressing.replyTo ?? { parameters: [], address: '' }
    for (const [addressing, namespace, mark] of [
      ['1.0', wsa10, 'true'],
      ['2004/08', wsa2004, undefined],
    ] as const) {
      const letter = { action: 'urn:done', relatesTo: 'urn:1', to: address, parameters }
      const header = readXml(writeMessage({ version: '1.1', addressing }, { body: xml('urn:b', 'B') }, letter)).child(
        'Header',
      )
      expect(header?.child('Action', namespace)?.text).toBe('urn:done')
      expect(header?.child('To', namespace)?.text).toBe('urn:r')
      expect(header?.child('RelatesTo', namespace)?.text).toBe('urn:1')
      expect(header?.child('MessageID', namespace)?.text).toMatch(/^urn:uuid:/)
      expect(header?.child('k', 'urn:k')?.attribute('IsReferenceParameter', wsa10)).toBe(mark)
    }
  })
})

describe('a fault', () => {
  const fault = new SoapFault('Sender', 'no <such> thing', {
    subcodes: [
      { namespace: 'urn:c', name: 'General' },
      { namespace: 'urn:c', name: 'Exact' },
    ],
    detail: [xml('urn:d', 'Info', 'x')],
    role: 'urn:role',
  })

  it('is written in the words of each version, and read back', () => {
    for (const version of ['1.1', '1.2'] as const) {
      const text = writeFaultMessage({ version, addressing: '1.0' }, fault, { relatesTo: 'urn:1' })
      const message = taken(text)
      expect(message.bodies.length).toBe(1)
      expect(message.action).toBe(`${wsa10}/soap/fault`)
      expect(message.addressing.relatesTo).toBe('urn:1')
      expect(message.fault).toMatchObject({ faultCode: 'Sender', message: 'no <such> thing', role: 'urn:role' })
      expect(message.fault?.has('Exact', 'urn:c')).toBe(true)
      expect(message.fault?.detail[0]?.text).toBe('x')
    }
  })

  it('says Client and Server in SOAP 1.1', () => {
    expect(writeFault('1.1', new SoapFault('Receiver', 'r'))).toBe(
      '<s:Fault><faultcode>s:Server</faultcode><faultstring>r</faultstring></s:Fault>',
    )
    for (const code of ['Sender', 'Receiver', 'MustUnderstand', 'VersionMismatch'] as const) {
      const text = writeFaultMessage({ version: '1.1', addressing: '1.0' }, new SoapFault(code, 'r'), {})
      expect(taken(text).fault?.faultCode).toBe(code)
    }
  })

  it('is never the answer to a fault', () => {
    const headers = '<x xmlns="urn:x" e:mustUnderstand="1"/>'
    const body =
      '<e:Fault><e:Code><e:Value>e:Sender</e:Value></e:Code><e:Reason><e:Text xml:lang="en">r</e:Text></e:Reason></e:Fault>'
    expect(writeRefusal(refused(envelope(soap12, headers, body)))).toBeUndefined()
  })

  it('goes nowhere if the sender wants none', () => {
    const headers = `${action}<a:FaultTo><a:Address>${wsa10}/none</a:Address></a:FaultTo><x xmlns="urn:x" e:mustUnderstand="1"/>`
    expect(writeRefusal(refused(envelope(soap12, headers)))).toBeUndefined()
  })
})
