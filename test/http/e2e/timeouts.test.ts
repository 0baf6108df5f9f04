import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { SilentPort } from '../../support/silent-port.ts'
import { Backend, gate, get, ok, pong, post, proxy, Served, turns, until } from './support.ts'

describe('Timeouts of clients', () => {
  it('E27: firstByteTimeout closes who says nothing, without a byte, whatever the others are', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start()
    await using served = await proxy(backend, { headTimeout: 6_000 }, { clock, firstByteTimeout: 2_000 })
    const client = await served.dial()
    await until(() => expect(served.http.stats().sessions).toBe(1))
    clock.advance(1_900)
    await turns()
    expect(client.peer.ended).toBe(false)
    clock.advance(400)
    await client.peer.over()
    expect(client.peer.unread).toHaveLength(0)
    await served.settled()
    expect(served.core.stats().timedOut['first-byte']).toBe(1)
  })

  it('E28: headTimeout holds once a byte has come; it is told 408', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start()
    await using served = await proxy(backend, { headTimeout: 6_000 }, { clock, firstByteTimeout: 2_000 })
    const client = await served.dial()
    await client.send('GET /x HTTP/1.1\r\n')
    await until(() => expect(served.core.stats().bytesIn).toBe(17))
    clock.advance(5_900)
    await turns()
    expect(client.peer.unread).toHaveLength(0)
    clock.advance(500)
    const answer = await client.response()
    expect([answer.status, answer.header('connection')]).toEqual([408, 'close'])
    await client.peer.over()
    client.peer.end()
    await served.settled()
    expect(served.http.stats().faults).toEqual({ 'XPS_TIMEOUT request-head': 1 })
    expect(backend.bytes).toBe(0)
  })

  it('E29: headTimeout is a total: bytes that dribble do not extend it', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start()
    await using served = await proxy(backend, { headTimeout: 5_000 }, { clock })
    const client = await served.dial()
    const head = get('/dribble')
    let sent = 0
    while (served.http.stats().faults['XPS_TIMEOUT request-head'] === undefined && sent < 20) {
      await client.send(head[sent++] as string)
      await until(() => expect(served.core.stats().bytesIn).toBe(sent))
      clock.advance(1_000)
    }
    expect(sent).toBeGreaterThanOrEqual(5)
    expect(sent).toBeLessThanOrEqual(7)
    expect((await client.response()).status).toBe(408)
    client.peer.end()
    await served.settled()
  })

  it('E34: bodyTimeout ends who stops in the middle of a body with 408, and lets the upstream go', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start()
    await using served = await proxy(backend, { bodyTimeout: 2_000 }, { clock })
    const client = await served.dial()
    await client.send(post('x'.repeat(20_000)).slice(0, -10_000))
    await until(() => expect(backend.bytes).toBeGreaterThan(10_000))
    clock.advance(1_900)
    await turns()
    expect(client.peer.unread).toHaveLength(0)
    clock.advance(600)
    const answer = await client.response()
    expect([answer.status, answer.header('connection')]).toEqual([408, 'close'])
    await client.peer.over()
    client.peer.end()
    await until(() => expect(backend.open).toBe(0))
    await served.settled()
    expect(served.http.stats().faults).toEqual({ 'XPS_TIMEOUT request-body': 1 })
  })

  it('E34: bodyTimeout holds before the first byte of a body, and not while bytes come', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start((request) => ok(`${request.body.length}`))
    await using served = await proxy(backend, { bodyTimeout: 2_000 }, { clock })
    const client = await served.dial()
    const text = post('x'.repeat(20_000))
    const head = text.indexOf('\r\n\r\n') + 4
    await client.send(text.slice(0, head))
    for (let part = 0; part < 10; part++) {
      await until(() => expect(backend.bytes).toBeGreaterThanOrEqual(part * 2_000))
      clock.advance(1_500)
      await client.send(text.slice(head + part * 2_000, head + (part + 1) * 2_000))
    }
    expect((await client.response()).body).toBe('20000')
    await client.send(text.slice(0, head))
    await until(() => expect(served.http.stats().transactions).toBe(1))
    await until(() => expect(backend.bytes).toBeGreaterThan(20_200))
    clock.advance(2_500)
    expect((await client.response()).status).toBe(408)
    client.peer.end()
    await served.settled()
  })

  it('E35: keepAliveTimeout closes an idle connection without a byte', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start()
    await using served = await proxy(backend, { keepAliveTimeout: 2_000 }, { clock })
    const client = await served.dial()
    await client.send(get())
    await client.response()
    clock.advance(1_800)
    await client.send(get())
    await client.response()
    clock.advance(1_800)
    await turns()
    expect(client.peer.ended).toBe(false)
    clock.advance(500)
    await client.peer.over()
    expect(client.peer.unread).toHaveLength(0)
    client.peer.end()
    await served.settled()
  })

  it('E38: maxSessionAge is the net below all others', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start(() => undefined)
    const off = {
      headTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: 0,
      responseTimeout: 0,
      responseIdleTimeout: 0,
      queueTimeout: 0,
    }
    await using served = await proxy(backend, off, { clock, maxSessionAge: 2_000, firstByteTimeout: 0 })
    const client = await served.dial()
    await client.send(get())
    await until(() => expect(backend.requests).toHaveLength(1))
    clock.advance(2_500)
    await client.peer.over()
    await until(() => expect(backend.open).toBe(0))
    await served.settled()
    expect(served.core.stats().timedOut['session-age']).toBe(1)
  })

  it('transactionTimeout ends a transaction, however busy: by a status before the answer, by a cut within', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start((request, peer) => {
      if (request.target === '/stream')
        void peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
      return undefined
    })
    await using served = await proxy(backend, { transactionTimeout: 3_000 }, { clock })
    const client = await served.dial()
    await client.send(get())
    await until(() => expect(backend.requests).toHaveLength(1))
    clock.advance(3_500)
    expect((await client.response()).status).toBeGreaterThanOrEqual(408)
    const other = await served.dial()
    await other.send(get('/stream'))
    await other.peer.read('a\r\n')
    clock.advance(3_500)
    await other.peer.over()
    expect(other.peer.unread.toString()).not.toContain('0\r\n\r\n')
    client.peer.end()
    other.peer.end()
    await served.settled()
    await until(() => expect(backend.open).toBe(0))
  })
})

describe('Timeouts of upstreams', () => {
  it('E31: responseTimeout makes silence a 504, closes that connection, and the next request has another', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start((request) => (request.target === '/silent' ? undefined : pong))
    await using served = await proxy(backend, { responseTimeout: 2_000 }, { clock })
    const client = await served.dial()
    await client.send(get('/silent'))
    await until(() => expect(backend.requests).toHaveLength(1))
    clock.advance(1_900)
    await turns()
    expect(client.peer.unread).toHaveLength(0)
    clock.advance(500)
    expect((await client.response()).status).toBe(504)
    await until(() => expect(backend.open).toBe(0))
    await client.send(get('/fine'))
    expect((await client.response()).status).toBe(200)
    expect(backend.accepted).toBe(2)
    client.peer.end()
    await served.settled()
    expect(served.http.stats().faults).toEqual({ 'XPS_TIMEOUT response-head': 1 })
  })

  it('E32: responseTimeout is a total: a head that dribbles does not extend it', async () => {
    const clock = new ManualClock()
    const head = 'HTTP/1.1 200 OK\r\nX-Slow: yes\r\nContent-Length: 4\r\n\r\npong'
    await using backend = await Backend.start(() => undefined)
    await using served = await proxy(backend, { responseTimeout: 2_000 }, { clock })
    const client = await served.dial()
    await client.send(get())
    await until(() => expect(backend.requests).toHaveLength(1))
    let sent = 0
    while (client.peer.unread.length === 0 && sent < 12) {
      await backend.peers[0]?.write(head[sent++] as string)
      await turns(3)
      clock.advance(500)
      await turns(3)
    }
    expect(sent).toBeLessThanOrEqual(6)
    expect((await client.response()).status).toBe(504)
    client.peer.end()
    await served.settled()
  })

  it('E31: responseTimeout begins when the request has been sent, not before', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start()
    await using served = await proxy(backend, { responseTimeout: 2_000, bodyTimeout: 10_000 }, { clock })
    const client = await served.dial()
    const text = post('x'.repeat(20_000))
    await client.send(text.slice(0, 15_000))
    await until(() => expect(backend.bytes).toBeGreaterThan(10_000))
    clock.advance(5_000)
    await turns()
    expect(client.peer.unread).toHaveLength(0)
    await client.send(text.slice(15_000))
    expect((await client.response()).status).toBe(200)
    client.peer.end()
    await served.settled()
  })

  it('responseIdleTimeout cuts a body that goes silent, in a way that can be seen', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start((_, peer) => {
      void peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
      return undefined
    })
    await using served = await proxy(backend, { responseIdleTimeout: 2_000 }, { clock })
    const client = await served.dial()
    await client.send(get())
    await client.peer.read('half\r\n')
    clock.advance(1_500)
    await backend.peers[0]?.write('4\r\nmore\r\n')
    await client.peer.read('more\r\n')
    clock.advance(1_500)
    await turns()
    expect(client.peer.ended).toBe(false)
    clock.advance(1_000)
    await client.peer.over()
    expect(client.peer.unread).toHaveLength(0)
    client.peer.end()
    await until(() => expect(backend.open).toBe(0))
    await served.settled()
    expect(served.http.stats().faults).toEqual({ 'XPS_TIMEOUT upstream-idle': 1 })
  })

  it('E37: connectTimeout makes an address that does not answer a 502 or 504, and is no limit for the answer', async () => {
    await using silent = await SilentPort.open()
    const clock = new ManualClock()
    await using served = await Served.start(
      { routes: [{ upstream: silent.address }] },
      { clock, connectTimeout: 1_000 },
    )
    const client = await served.dial()
    await client.send(get())
    await until(() => expect(served.http.stats().transactions).toBe(1))
    clock.advance(1_300)
    expect((await client.response()).status).toBe(504)
    client.peer.end()
    await served.settled()
    await using backend = await Backend.start(() => undefined)
    await using other = await proxy(backend, {}, { clock, connectTimeout: 1_000 })
    const patient = await other.dial()
    await patient.send(get())
    await until(() => expect(backend.requests).toHaveLength(1))
    clock.advance(3_000)
    await backend.peers[0]?.write(pong)
    expect((await patient.response()).status).toBe(200)
    patient.peer.end()
    await other.settled()
  })

  it('queueTimeout makes a request that waits for a connection a 503', async () => {
    const clock = new ManualClock()
    const answer = gate()
    await using backend = await Backend.start(async () => {
      await answer.promise
      return pong
    })
    await using served = await Served.start(
      { routes: [{ upstream: backend.address, maxConnections: 1 }], queueTimeout: 1_000 },
      { clock },
    )
    const one = await served.dial()
    await one.send(get())
    await until(() => expect(backend.requests).toHaveLength(1))
    const two = await served.dial()
    await two.send(get())
    await until(() => expect(served.http.stats().upstreams[backend.address]?.queued).toBe(1))
    clock.advance(1_400)
    expect((await two.response()).status).toBe(503)
    answer.open()
    expect((await one.response()).status).toBe(200)
    one.peer.end()
    two.peer.end()
    await served.settled()
    expect(backend.requests).toHaveLength(1)
  })

  it('an idle connection to an upstream is closed after idleTimeout', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start()
    await using served = await Served.start({ routes: [{ upstream: backend.address, idleTimeout: 5_000 }] }, { clock })
    const client = await served.dial()
    await client.send(get())
    await client.response()
    clock.advance(4_000)
    await turns()
    expect(backend.open).toBe(1)
    clock.advance(1_500)
    await until(() => expect(backend.open).toBe(0))
    await client.send(get())
    expect((await client.response()).status).toBe(200)
    expect(backend.accepted).toBe(2)
    client.peer.end()
  })
})

describe('Timeouts that are patched', () => {
  it('E74: hold for sessions that begin then, and a wrong patch changes nothing', async () => {
    const clock = new ManualClock()
    await using backend = await Backend.start()
    await using served = await proxy(backend, {}, { clock }, { firstByteTimeout: 60_000 })
    const old = await served.dial()
    await until(() => expect(served.http.stats().sessions).toBe(1))
    expect(() => served.listener.patch({ firstByteTimeout: -1 })).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION' }),
    )
    served.listener.patch({})
    served.listener.patch({ firstByteTimeout: 1_000 })
    const young = await served.dial()
    await until(() => expect(served.http.stats().sessions).toBe(2))
    clock.advance(1_500)
    await young.peer.over()
    expect(old.peer.ended).toBe(false)
    await old.send(get())
    expect((await old.response()).status).toBe(200)
    old.peer.end()
    young.peer.end()
    await served.settled()
  })

  it('E74: and routes that are exchanged hold for requests that come then', async () => {
    await using one = await Backend.start(() => ok('one'))
    await using two = await Backend.start(() => ok('two'))
    await using served = await proxy(one)
    const client = await served.dial()
    await client.send(get())
    expect((await client.response()).body).toBe('one')
    expect(() => served.http.route([{ upstream: 'not an address' }])).toThrow()
    await client.send(get())
    expect((await client.response()).body).toBe('one')
    served.http.route([{ upstream: two.address }])
    await client.send(get())
    expect((await client.response()).body).toBe('two')
    client.peer.end()
  })
})
