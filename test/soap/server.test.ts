import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encodeDime } from '../../src/soap/framing/dime-encoder.ts'
import { nmfEncodings } from '../../src/soap/framing/nmf.ts'
import { encodeNmf, encodeNmfPreamble } from '../../src/soap/framing/nmf-encoder.ts'
import { type ProcessorFunction, processor, SoapFault, type StandardSchema, xml } from '../../src/soap/index.ts'
import { dial } from '../support/net.ts'
import { envelopeText, own, Served, soap11, soap12, turn, until, wsa10 } from './support.ts'

const echo: Record<string, ProcessorFunction> = { 'urn:test/echo': ({ body }) => body ?? xml('urn:test', 'Empty') }

describe('a server', () => {
  it('lets a client log in, answers its requests and says goodbye', async () => {
    await using served = await Served.start({ processors: echo })
    const client = await served.loggedIn()
    expect([...served.server.sessions.keys()]).toEqual([client.sessionId])
    const answer = await client.request('urn:test/echo', xml('urn:test', 'Say', { text: 'hé' }))
    expect(answer.action).toBe('urn:test/echoResponse')
    expect(answer.body?.string('text')).toBe('hé')
    expect(await client.close()).toBeUndefined()
    await until(() => expect(served.server.stats()).toMatchObject({ connections: 0, sessions: 0, logins: 1 }))
    expect(served.rejected).toEqual([])
  })

  it('answers in the version of the request, related to it, with an id of its own', async () => {
    await using served = await Served.start({ processors: echo })
    for (const [version, namespace] of [
      ['1.1', soap11],
      ['1.2', soap12],
    ] as const) {
      const raw = await served.raw(version)
      await raw.login()
      const id = await raw.send('urn:test/echo', '<x xmlns="urn:x"/>')
      const answer = await raw.next()
      expect([answer.version, answer.relatesTo, answer.action]).toEqual([version, id, 'urn:test/echoResponse'])
      expect(answer.header('MessageID')?.text).toMatch(/^urn:uuid:/)
      expect(answer.header('To')?.text).toBe(`${wsa10}/anonymous`)
      expect(answer.header('MessageID')?.parent?.parent?.namespace).toBe(namespace)
    }
  })

  it('gives the answers that a processor gives: none, one or many', async () => {
    const one = xml('urn:test', 'N', 1)
    await using served = await Served.start({
      processors: {
        'urn:test/none': () => {},
        'urn:test/one': async () => one,
        'urn:test/three': () => [one, one, { action: 'urn:test/last', body: one }],
        'urn:test/stream': async function* () {
          for (const n of [1, 2, 3]) yield xml('urn:test', 'N', n)
        },
      },
    })
    const raw = await served.raw()
    await raw.login()
    await raw.send('urn:test/none')
    const first = await raw.send('urn:test/one')
    expect((await raw.next()).relatesTo).toBe(first)
    const three = await raw.send('urn:test/three')
    const got = [await raw.next(), await raw.next(), await raw.next()]
    expect(got.map(({ relatesTo }) => relatesTo)).toEqual([three, three, three])
    expect(got[2]?.action).toBe('urn:test/last')
    await raw.send('urn:test/stream')
    const stream = [await raw.next(), await raw.next(), await raw.next()]
    expect(stream.map(({ body }) => body?.text)).toEqual(['1', '2', '3'])
  })

  it('sends nothing to who wants no answer', async () => {
    await using served = await Served.start({
      processors: {
        ...echo,
        'urn:test/fails': () => {
          throw new SoapFault('Sender', 'no')
        },
      },
    })
    const raw = await served.raw()
    await raw.login()
    const none = `<a:ReplyTo><a:Address>${wsa10}/none</a:Address></a:ReplyTo>`
    await raw.send('urn:test/echo', '', { headers: none })
    await raw.send('urn:test/fails', '', { headers: none })
    await raw.send('urn:test/unknown', '', { headers: none })
    const id = await raw.send('urn:test/echo')
    expect((await raw.next()).relatesTo).toBe(id)
  })

  it('answers with the fault that a processor throws, and keeps what else it throws to itself', async () => {
    await using served = await Served.start({
      processors: {
        'urn:test/fault': () => {
          throw new SoapFault('Sender', 'no such symbol')
        },
        'urn:test/bug': () => {
          throw new Error('secret at /src/secret.js')
        },
        'urn:test/later': () => Promise.reject(new Error('later')),
        'urn:test/wrong': () => ({ body: xml('urn:x', 'x', '\u0000') }),
        'urn:test/cut': async function* () {
          yield xml('urn:test', 'N', 1)
          throw new SoapFault('Receiver', 'the rest is missing')
        },
      },
    })
    const raw = await served.raw()
    await raw.login()
    await raw.send('urn:test/fault')
    expect((await raw.next()).fault).toMatchObject({ faultCode: 'Sender', message: 'no such symbol' })
    for (const action of ['urn:test/bug', 'urn:test/later', 'urn:test/wrong']) {
      const id = await raw.send(action)
      const { fault, relatesTo } = await raw.next()
      expect(fault).toMatchObject({ faultCode: 'Receiver', message: 'the message could not be processed' })
      expect(relatesTo).toBe(id)
    }
    await raw.send('urn:test/cut')
    expect((await raw.next()).fault).toBeUndefined()
    expect((await raw.next()).fault?.message).toBe('the rest is missing')
    expect(served.faults.map((fault) => (fault as Error).message)).toEqual([
      'secret at /src/secret.js',
      'later',
      'text must be made of characters that XML has',
    ])
    expect(served.rejected).toEqual(['processor', 'processor', 'processor'])
  })

  it('validates bodies by a schema of the host, and gives its value to the processor', async () => {
    const schema: StandardSchema<{ quantity: number }> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => {
          const quantity = Number((value as { quantity?: string }).quantity)
          if (quantity > 0) return { value: { quantity } }
          return { issues: [{ message: 'must be more than 0', path: ['quantity'] }] }
        },
      },
    }
    await using served = await Served.start({
      processors: {
        'urn:test/order': processor({ schema, handle: ({ value }) => xml('urn:test', 'Ok', value.quantity * 2) }),
        'urn:test/read': processor({ handle: ({ body }) => xml('urn:test', 'Ok', body?.integer('n')) }),
      },
    })
    const client = await served.loggedIn()
    const order = (quantity: string): ReturnType<typeof xml> => xml('urn:test', 'Order', { quantity })
    expect((await client.request('urn:test/order', order('4'))).body?.text).toBe('8')
    await expect(client.request('urn:test/order', order('0'))).rejects.toMatchObject({
      faultCode: 'Sender',
      message: 'the body is not valid: quantity: must be more than 0',
    })
    await expect(client.request('urn:test/read', xml('urn:test', 'R', { n: 'x' }))).rejects.toMatchObject({
      message: 'the body is not valid: n in R must be a whole number',
    })
    expect(served.rejected).toEqual(['invalid-body', 'invalid-body'])
  })

  it('takes attachments and sends them', async () => {
    await using served = await Served.start({
      processors: {
        'urn:test/files': ({ attachments, body }) => (body === undefined ? { attachments } : { body, attachments }),
      },
    })
    const client = await served.loggedIn()
    const attachments = [
      { id: 'urn:1', type: 'image/png', data: Buffer.alloc(100_000, 7) },
      { id: '', type: '', data: Buffer.from('x') },
    ]
    const answer = await client.request('urn:test/files', { attachments })
    expect(answer.attachments.map(({ id, type, data }) => [id, type, data.length])).toEqual([
      ['urn:1', 'image/png', 100_000],
      ['', '', 1],
    ])
  })

  it('is found at its path, and nowhere else', async () => {
    await using served = await Served.start({ processors: echo, path: '/quotes' })
    const raw = await served.raw()
    await raw.login()
    await raw.send('urn:test/echo', '', { headers: '<a:To>soap.tcp://any.host:1/quotes/</a:To>' })
    expect((await raw.next()).fault).toBeUndefined()
    for (const to of ['soap.tcp://127.0.0.1/other', 'urn:elsewhere']) {
      await raw.send('urn:test/echo', '', { headers: `<a:To>${to}</a:To>` })
      expect((await raw.next()).fault?.has('DestinationUnreachable', wsa10)).toBe(true)
    }
    expect(served.rejected).toEqual(['destination', 'destination'])
  })
})

describe('a server asks who may do what', () => {
  it('for each message, and remembers nothing', async () => {
    let asked = 0
    let allowed = true
    let logins = 0
    await using served = await Served.start({
      processors: echo,
      login: () => {
        logins++
        return true
      },
      entitled: async (session, message) => {
        asked++
        expect([session.username, message.action]).toEqual(['ann', 'urn:test/echo'])
        return allowed
      },
    })
    const client = await served.loggedIn()
    await Promise.all(Array.from({ length: 20 }, () => client.request('urn:test/echo')))
    expect([logins, asked]).toEqual([1, 20])
    allowed = false
    const refusal = await client.request('urn:test/echo').catch((error: unknown) => error)
    expect((refusal as SoapFault).has('NotEntitled', own)).toBe(true)
    allowed = true
    await client.request('urn:test/echo')
    expect(served.rejected).toEqual(['not-entitled'])
  })

  it('and an answer that fails is no permission', async () => {
    await using served = await Served.start({
      processors: echo,
      entitled: () => Promise.reject(new Error('no database')),
    })
    const client = await served.loggedIn()
    await expect(client.request('urn:test/echo')).rejects.toMatchObject({ faultCode: 'Receiver' })
    expect(served.faults).toEqual([new Error('no database')])
  })

  it('in the order of the messages, however long it takes', async () => {
    const order: string[] = []
    await using served = await Served.start({
      processors: { 'urn:test/n': ({ body }) => void order.push(body?.text ?? '') },
      entitled: async (_session, { body }) => {
        for (let turns = body?.text === '1' ? 20 : 0; turns > 0; turns--) await turn()
        return true
      },
    })
    const client = await served.loggedIn()
    for (const n of [1, 2, 3]) await client.send('urn:test/n', xml('urn:test', 'N', n))
    await until(() => expect(order).toEqual(['1', '2', '3']))
  })
})

describe('what a server does not take', () => {
  it('is what comes before a login', async () => {
    await using served = await Served.start({ processors: echo })
    const raw = await served.raw()
    await raw.send('urn:test/echo')
    expect((await raw.next()).fault?.has('NotLoggedIn', own)).toBe(true)
    expect(served.rejected).toEqual(['not-logged-in'])
    await raw.login()
    await raw.send('urn:test/echo')
    expect((await raw.next()).fault).toBeUndefined()
  })

  it('is a session id of another connection, with the same words as one of none', async () => {
    await using served = await Served.start({ processors: echo })
    const [one, other, third] = [await served.raw(), await served.raw(), await served.raw()]
    await one.login()
    await other.login()
    const told: string[] = []
    for (const [raw, session] of [
      [other, one.sessionId],
      [third, one.sessionId],
      [other, 'no-such-session'],
      [other, false],
    ] as const) {
      await raw.send('urn:test/echo', '', { session })
      told.push((await raw.next()).fault?.message ?? '')
    }
    expect(new Set(told)).toEqual(new Set(['not logged in']))
    expect(served.rejected).toEqual(['wrong-session', 'wrong-session', 'wrong-session', 'wrong-session'])
    await one.send('urn:test/echo')
    expect((await one.next()).fault).toBeUndefined()
  })

  it('is a message that comes twice, as long as it remembers it', async () => {
    let count = 0
    await using served = await Served.start({ processors: { 'urn:test/n': () => void count++ }, messageIdWindow: 2 })
    const raw = await served.raw()
    await raw.login()
    for (const id of ['urn:1', 'urn:1', 'urn:2', 'urn:3', 'urn:1']) await raw.send('urn:test/n', '', { id })
    const { fault, relatesTo } = await raw.next()
    expect(fault?.subcodes.map(({ name }) => name)).toEqual(['InvalidAddressingHeader', 'DuplicateMessageID'])
    expect(relatesTo).toBe('urn:1')
    await until(() => expect(count).toBe(4))
    expect(served.rejected).toEqual(['duplicate'])
  })

  it('is an answer to be sent to somebody else', async () => {
    await using served = await Served.start({ processors: echo })
    const raw = await served.raw()
    await raw.login()
    for (const name of ['ReplyTo', 'FaultTo']) {
      const headers = `<a:${name}><a:Address>soap.tcp://10.0.0.1:9999/</a:Address></a:${name}>`
      await raw.send('urn:test/echo', '', { headers })
      expect((await raw.next()).fault?.has('InvalidAddress', wsa10)).toBe(true)
    }
    expect(served.rejected).toEqual(['reply-to', 'reply-to'])
  })

  it('is XML that is not well formed, or not SOAP; the connection goes on', async () => {
    await using served = await Served.start({ processors: echo })
    const raw = await served.raw()
    await raw.login()
    const texts = ['<a', '<!DOCTYPE a><a/>', '<a/>', `<s:Envelope xmlns:s="${soap12}"><?pi?><s:Body/></s:Envelope>`]
    for (const text of texts) {
      await raw.sendText(text)
      const { fault, version } = await raw.next()
      expect([fault?.faultCode, version]).toEqual(['Sender', '1.2'])
    }
    await raw.sendText(envelopeText('1.2', '', '').replaceAll(soap12, 'urn:wrong'))
    expect((await raw.next()).fault?.faultCode).toBe('VersionMismatch')
    expect(served.rejected).toEqual(['xml', 'xml', 'envelope', 'xml', 'version'])
    await raw.send('urn:test/echo')
    expect((await raw.next()).fault).toBeUndefined()
  })

  it('is a fault, and it answers none', async () => {
    await using served = await Served.start({ processors: echo })
    const raw = await served.raw()
    await raw.login()
    const fault =
      '<s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code><s:Reason><s:Text xml:lang="en">r</s:Text></s:Reason></s:Fault>'
    await raw.send('urn:test/echo', fault)
    await raw.send('urn:test/unknown', fault, { headers: '<x xmlns="urn:x" s:mustUnderstand="1"/>' })
    const id = await raw.send('urn:test/echo')
    expect((await raw.next()).relatesTo).toBe(id)
  })

  it.each([
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n', 'framing'],
    ['TLS', '\u0016\u0003\u0001', 'framing'],
    ['bare XML', '<s:Envelope/>', 'framing'],
    ['DIME of another version', Buffer.from('1e2000000000000000000000', 'hex'), 'framing'],
    ['a message that is announced as 4 GB', Buffer.from('0e20000000000000ffffffff', 'hex'), 'too-large'],
    ['a message that ends in its middle', encodeDime('1.2', '<a/>').subarray(0, 20), 'framing'],
  ])('is %s: the connection is closed, for one reason', async (_what, bytes, reason) => {
    await using served = await Served.start({ processors: echo })
    const raw = await served.raw()
    raw.peer.end(bytes as string)
    await raw.peer.ended()
    expect(raw.peer.received).toBe(0)
    await until(() => expect(served.server.stats().connections).toBe(0))
    expect(served.rejected).toEqual([reason])
  })

  it.each([
    ['maxDepth', 8, (count: number) => '<x>'.repeat(count - 2) + '</x>'.repeat(count - 2)],
    ['maxAttributes', 5, (count: number) => `<x ${[...Array(count).keys()].map((at) => `a${at}="1"`).join(' ')}/>`],
    ['maxText', 200, (count: number) => `<x>${'x'.repeat(count)}</x>`],
  ])('is XML beyond %s; the connection goes on', async (option, most, body) => {
    await using served = await Served.start({ processors: echo, [option]: most })
    const raw = await served.raw()
    await raw.login()
    await raw.send('urn:test/echo', body(most))
    expect((await raw.next()).action).toBe('urn:test/echoResponse')
    await raw.send('urn:test/echo', body(most + 1))
    expect((await raw.next()).fault?.faultCode).toBe('Sender')
    expect(served.rejected).toEqual(['too-large'])
    await raw.send('urn:test/echo', body(most))
    expect((await raw.next()).action).toBe('urn:test/echoResponse')
  })

  it('is an attachment more than maxAttachments: the connection is closed', async () => {
    await using served = await Served.start({ processors: echo, maxAttachments: 2 })
    const raw = await served.raw()
    await raw.login()
    const attachments = ['1', '2', '3'].map((id) => ({ id, type: 'text/plain', data: Buffer.from(id) }))
    const text = raw.envelope(
      `<a:Action>urn:test/echo</a:Action><a:MessageID>urn:1</a:MessageID><Session xmlns="${own}">${raw.sessionId}</Session>`,
      '',
    )
    await raw.sendText(text, attachments.slice(1))
    expect((await raw.next()).action).toBe('urn:test/echoResponse')
    await raw.sendText(text, attachments)
    await raw.peer.ended()
    expect(served.rejected).toEqual(['too-large'])
  })

  it('is an action that nobody has a processor for', async () => {
    await using served = await Served.start({ processors: echo })
    const raw = await served.raw()
    await raw.login()
    await raw.send('urn:test/unknown')
    expect((await raw.next()).fault?.has('ActionNotSupported', wsa10)).toBe(true)
    expect(served.rejected).toEqual(['unknown-action'])
    expect(served.server.stats().rejected['unknown-action']).toBe(1)
  })

  it('is one byte more than 4 MiB; 4 MiB it takes', async () => {
    await using served = await Served.start({
      processors: { 'urn:test/size': ({ body }) => xml('', 'n', body?.text.length) },
    })
    const raw = await served.raw()
    await raw.login()
    const most = 4 * 1024 * 1024
    const text = (fill: number): string =>
      raw.envelope(
        `<a:Action>urn:test/size</a:Action><Session xmlns="${own}">${raw.sessionId}</Session>`,
        `<x xmlns="u">${'y'.repeat(fill)}</x>`,
      )
    const fill = most - text(0).length
    await raw.sendText(text(fill))
    expect((await raw.next()).body?.text).toBe(String(fill))
    void raw.sendText(text(fill + 1))
    await raw.peer.ended()
    expect(served.rejected).toEqual(['too-large'])
  })
})

describe('NMF', () => {
  it('is spoken with whoever speaks it, in each text encoding', async () => {
    await using served = await Served.start({ processors: echo, path: '/quotes' })
    for (const encoding of nmfEncodings) {
      const peer = await dial(served.listener.port)
      const login = `<Login xmlns="${own}"><Session>${randomUUID()}</Session><Username>ann</Username><Password>right</Password></Login>`
      const text = envelopeText(
        encoding.version,
        `<a:Action>${own}/login</a:Action><a:MessageID>urn:1</a:MessageID>`,
        login,
      )
      peer.end(
        Buffer.concat([
          encodeNmfPreamble('net.tcp://localhost:808/quotes', encoding),
          encodeNmf(text, encoding.text),
          Buffer.from([7]),
        ]),
      )
      const bytes = await peer.bytes()
      expect([bytes[0], bytes[1], bytes.at(-1)]).toEqual([0x0b, 0x06, 0x07])
      const size = (bytes[2] as number) - 128 + (bytes[3] as number) * 128
      const decoder = new TextDecoder(encoding.text)
      expect(decoder.decode(bytes.subarray(4, 4 + size))).toContain('Accepted')
    }
  })

  it('refuses an address that nobody is at, and binary XML, in its own words', async () => {
    await using served = await Served.start({ processors: echo, path: '/quotes' })
    const text = nmfEncodings[3] as (typeof nmfEncodings)[number]
    for (const [bytes, fault] of [
      [encodeNmfPreamble('net.tcp://localhost/other', text), 'EndpointNotFound'],
      [encodeNmfPreamble('net.tcp://localhost/quotes', { ...text, code: 8 }), 'ContentTypeInvalid'],
    ] as const) {
      const peer = await dial(served.listener.port)
      await peer.write(bytes)
      const answer = await peer.bytes()
      expect(answer[0]).toBe(8)
      expect(answer.subarray(2).toString()).toBe(`http://schemas.microsoft.com/ws/2006/05/framing/faults/${fault}`)
      peer.end()
    }
    expect(served.rejected).toEqual(['destination', 'framing'])
  })

  it('is refused where only DIME is spoken', async () => {
    await using served = await Served.start({ processors: echo, framings: ['dime'] })
    const peer = await dial(served.listener.port)
    await peer.write(Buffer.from([0, 1, 0]))
    await peer.over()
    expect(served.rejected).toEqual(['framing'])
  })
})
