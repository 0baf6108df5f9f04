import { describe, expect, it } from 'vitest'
import { isXpsError } from '../../src/index.ts'
import { encodeDime } from '../../src/soap/framing/dime-encoder.ts'
import { SoapFault, type SoapMessage, SoapReceiver, SoapSender, xml } from '../../src/soap/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { dial } from '../support/net.ts'
import { envelopeText, passing, stands, until, wsa10 } from './support.ts'

const n = (value: number): ReturnType<typeof xml> => xml('urn:test', 'N', value)

describe('a receiver and senders', () => {
  it('get messages from one to the other, in order, over one connection', async () => {
    const got: string[] = []
    const peers = new Set<string>()
    await using receiver = await SoapReceiver.open('soap.tcp://localhost:0/ticks', (message, peer) => {
      got.push(`${message.action} ${message.body?.text}`)
      peers.add(peer.id)
    })
    await using sender = new SoapSender(receiver.address)
    await Promise.all(Array.from({ length: 50 }, (_, index) => sender.send(n(index))))
    await until(() => expect(got).toEqual(Array.from({ length: 50 }, (_, index) => `urn:test/N ${index}`)))
    expect(peers.size).toBe(1)
  })

  it('do so in every version, addressing and framing', async () => {
    const got: SoapMessage[] = []
    await using receiver = await SoapReceiver.open('soap.tcp://localhost:0/', (message) => void got.push(message))
    for (const version of ['1.1', '1.2'] as const) {
      for (const framing of ['dime', 'nmf'] as const) {
        await using sender = new SoapSender(receiver.address, { version, framing, addressing: '2004/08' })
        await sender.send({ action: 'urn:test/a' })
        await until(() => expect(got.at(-1)).toMatchObject({ version, action: 'urn:test/a' }))
        got.length = 0
      }
    }
  })

  it('find each other by the path', async () => {
    const got: string[] = []
    await using receiver = await SoapReceiver.open('soap.tcp://localhost:0/one', () => void got.push('one'))
    receiver.add('/two', () => void got.push('two'))
    expect(() => receiver.add('/two/', () => {})).toThrow('path')
    const to = (path: string): SoapSender => new SoapSender(`soap.tcp://127.0.0.1:${receiver.port}${path}`)
    await using one = to('/one')
    await using two = to('/two/')
    await using nobody = to('/three')
    const answers: (SoapFault | undefined)[] = []
    for (const sender of [nobody, two]) sender.on('message', ({ fault }) => answers.push(fault))
    await one.send(n(1))
    await two.send(n(1))
    await until(() => expect(got.toSorted()).toEqual(['one', 'two']))
    await nobody.send(n(1))
    await until(() => expect(answers.map((fault) => fault?.has('DestinationUnreachable', wsa10))).toEqual([true]))
    receiver.remove('/two')
    await two.send(n(1))
    await until(() => expect(answers.length).toBe(2))
  })

  it('may answer, and what fails in a receiver is a fault', async () => {
    const rejected: string[] = []
    const faults: unknown[] = []
    await using receiver = await SoapReceiver.open('soap.tcp://localhost:0/', async ({ action }) => {
      if (action === 'urn:test/bug') throw new Error('secret')
      if (action === 'urn:test/fault') throw new SoapFault('Sender', 'no')
      return n(1)
    })
    receiver.on('rejected', (reason) => rejected.push(reason))
    receiver.on('fault', (error) => faults.push(error.cause))
    await using sender = new SoapSender(receiver.address)
    const answers: string[] = []
    sender.on('message', ({ action, fault }) => answers.push(fault?.message ?? action))
    for (const name of ['ask', 'bug', 'fault']) await sender.send({ action: `urn:test/${name}` })
    await until(() => expect(answers).toEqual(['urn:test/askResponse', 'the message could not be processed', 'no']))
    expect(rejected).toEqual(['processor'])
    expect(faults).toEqual([new Error('secret')])
  })

  it('bind to the loopback for localhost', async () => {
    await using receiver = await SoapReceiver.open('soap.tcp://localhost:0/', () => {})
    const other = SoapReceiver.open(`soap.tcp://127.0.0.1:${receiver.port}/`, () => {})
    await expect(other).rejects.toSatisfy((error: unknown) => isXpsError(error, 'XPS_LISTEN'))
    // Another address of this machine, which a receiver at all addresses is reached at.
    const elsewhere = (port: number): Promise<void> => new SoapSender(`soap.tcp://127.0.0.2:${port}/`).send(n(1))
    await expect(elsewhere(receiver.port)).rejects.toSatisfy((error: unknown) => isXpsError(error, 'XPS_CONNECT'))
    await using everywhere = await SoapReceiver.open('soap.tcp://any.example:0/', () => {})
    await elsewhere(everywhere.port)
  })

  it('connect again after the connection broke', async () => {
    let got = 0
    await using receiver = await SoapReceiver.open('soap.tcp://localhost:0/', (_message, peer) => {
      got++
      peer.abort()
    })
    await using sender = new SoapSender(receiver.address)
    for (let count = 1; count <= 3; count++) {
      await sender.send(n(count))
      await until(() => expect(got).toBe(count))
      await until(() => expect(sender.size).toBe(0))
    }
  })

  it('wait for whoever takes less than it is sent', async () => {
    const peers: { resume(): void }[] = []
    let got = 0
    await using receiver = await SoapReceiver.open(
      'soap.tcp://localhost:0/',
      (_message, peer) => {
        got++
        if (got === 1) {
          peer.pause()
          peers.push(peer)
        }
      },
      { maxMessageBytes: '1 MiB' },
    )
    await using sender = new SoapSender(receiver.address, { maxQueuedBytes: 1_000_000 })
    let sent = 0
    const big = xml('urn:test', 'Big', 'x'.repeat(100_000))
    const sending = (async () => {
      for (; sent < 150; sent++) await sender.send(big)
    })()
    await until(() => expect(peers.length).toBe(1))
    await stands(() => sent, 0)
    expect(sent).toBeLessThan(150)
    peers[0]?.resume()
    await sending
    await until(() => expect(got).toBe(150))
  })

  it('end what is silent or does not finish', async () => {
    const clock = new ManualClock()
    await using receiver = await SoapReceiver.open('soap.tcp://localhost:0/', () => {}, {
      idleTimeout: 10_000,
      messageTimeout: 1_000,
      clock,
    })
    const silent = await dial(receiver.port)
    const slow = await dial(receiver.port)
    await slow.write(encodeDime('1.2', envelopeText('1.2', '', '')).subarray(0, 40))
    await passing(clock, slow.over())
    expect(clock.now()).toBeLessThan(9_000)
    await passing(clock, silent.over())
    expect(clock.now()).toBeGreaterThanOrEqual(10_000)
  })

  it('refuse what cannot be', async () => {
    await expect(SoapReceiver.open('http://localhost', () => {})).rejects.toThrow('address')
    await expect(SoapReceiver.open('soap.tcp://localhost:0', 1 as never)).rejects.toThrow('receive')
    await expect(SoapReceiver.open('soap.tcp://localhost:0', () => {}, { backlog: 1 } as never)).rejects.toThrow(
      'backlog',
    )
    const sender = new SoapSender('soap.tcp://localhost:1')
    expect(sender.destination).toBe('soap.tcp://localhost:1')
    await expect(sender.send({})).rejects.toThrow('action')
    await expect(sender.send(n(1))).rejects.toSatisfy((error: unknown) => isXpsError(error, 'XPS_CONNECT'))
    await sender.close()
    await expect(sender.send(n(1))).rejects.toThrow('closed')
  })
})
