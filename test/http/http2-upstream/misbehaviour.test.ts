import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { encodeFields, type Field, indexed, literal, tableSize } from '../../support/hpack.ts'
import { ACK, END_HEADERS, END_STREAM, PADDED, words } from '../../support/http2-frames.ts'
import { Http2Server } from '../../support/http2-server.ts'
import type { Http2Wire } from '../../support/http2-wire.ts'
import { get, Served, stands, turns, until } from './support.ts'

const ok: Field[] = [[':status', '200']]
const sized = (length: number): Field[] => [...ok, ['content-length', String(length)]]
const large = (count: number, size: number): Field[] =>
  Array.from({ length: count }, (_, at) => [`x-${at}`, 'v'.repeat(size)] as const)

/** What an upstream does with the first request of a connection. */
type Play = (wire: Http2Wire, stream: number) => void | Promise<void>

/** An upstream that does something to each request for /bad, and answers the others. */
function playing(play: Play, wireOptions = {}): Promise<Http2Server> {
  return Http2Server.start(async (wire) => {
    for (;;) {
      const request = await wire.request().catch(() => undefined)
      if (request === undefined) return
      if (request.header(':path') === '/bad') void play(wire, request.id)
      else wire.respond(request.id, 200, 'fine')
    }
  }, wireOptions)
}

/** What the client of a request got: a status with its body, or that the answer was cut. */
async function outcome(served: Served, request = get('/bad')): Promise<string> {
  const client = await served.dial()
  try {
    await client.send(request)
    const answer = await client.response(request.slice(0, request.indexOf(' ')))
    return `${answer.status} ${answer.status === 200 ? answer.body.slice(0, 20) : ''}`.trim()
  } catch {
    return 'cut'
  } finally {
    client.peer.end()
  }
}

function fronted(server: { address: string }, clock?: ManualClock): Promise<Served> {
  return Served.start(
    { routes: [{ upstream: `h2c://${server.address}` }], responseTimeout: 5_000 },
    clock === undefined ? {} : { clock },
  )
}

// What an upstream does; what the client gets (the response was cut short: 'cut'); the others must get theirs.
const plays: [name: string, play: Play, expected: RegExp][] = [
  ['DATA before HEADERS', (wire, id) => wire.data(id, 'data', { endStream: true }), /^502$/],
  ['nothing but trailers', (wire, id) => wire.headers(id, [['sum', '1']], { endStream: true }), /^502$/],
  ['an empty head', (wire, id) => wire.headers(id, Buffer.alloc(0), { endStream: true }), /^502$/],
  [
    'an interim response that ends the stream',
    (wire, id) => wire.headers(id, [[':status', '103']], { endStream: true }),
    /^502$/,
  ],
  [
    'two heads',
    (wire, id) => {
      wire.headers(id, ok)
      wire.headers(id, ok)
    },
    /^(502|cut)$/,
  ],
  [
    'trailers with :status',
    (wire, id) => {
      wire.headers(id, ok)
      wire.data(id, 'body')
      wire.headers(id, ok, { endStream: true })
    },
    /^(502|cut)$/,
  ],
  [
    'trailers with a field of the connection',
    (wire, id) => {
      wire.headers(id, ok)
      wire.data(id, 'body')
      wire.headers(id, [['transfer-encoding', 'chunked']], { endStream: true })
    },
    /^(502|cut)$/,
  ],
  ['two statuses', (wire, id) => wire.headers(id, [...ok, ...ok], { endStream: true }), /^502$/],
  [':status after a field', (wire, id) => wire.headers(id, [['a', 'b'], ...ok], { endStream: true }), /^502$/],
  [
    'a body without an end, and a reset',
    (wire, id) => {
      wire.headers(id, ok)
      wire.data(id, 'half')
      wire.rst(id)
    },
    /^cut$/,
  ],
  [
    'a body without an end, and a reset with NO_ERROR',
    (wire, id) => {
      wire.headers(id, ok)
      wire.data(id, 'half')
      wire.rst(id, 'NO_ERROR')
    },
    /^cut$/,
  ],
  [
    'half of its content-length, and a reset with NO_ERROR',
    (wire, id) => {
      wire.headers(id, sized(8))
      wire.data(id, 'half')
      wire.rst(id, 'NO_ERROR')
    },
    /^cut$/,
  ],
  [
    'all of its content-length, no end, and a reset with NO_ERROR',
    (wire, id) => {
      wire.headers(id, sized(4))
      wire.data(id, 'full')
      wire.rst(id, 'NO_ERROR')
    },
    /^(cut|200 full)$/,
  ],
  [
    'less than its content-length, and the end',
    (wire, id) => {
      wire.headers(id, sized(8))
      wire.data(id, 'half', { endStream: true })
    },
    /^(502|cut)$/,
  ],
  [
    'more than its content-length',
    (wire, id) => {
      wire.headers(id, sized(2))
      wire.data(id, 'more', { endStream: true })
    },
    /^(502|cut|200 mo)$/,
  ],
  ['content-length and no body', (wire, id) => wire.headers(id, sized(8), { endStream: true }), /^(502|cut)$/],
  [
    'a 204 with a body',
    (wire, id) => {
      wire.headers(id, [[':status', '204']])
      wire.data(id, 'body', { endStream: true })
    },
    /^(204|502|cut)$/,
  ],
  [
    'DATA after the end',
    (wire, id) => {
      wire.respond(id, 200, 'whole', [['content-length', '5']])
      wire.data(id, 'more')
    },
    /^(200 whole|502|cut)$/,
  ],
  [
    'a response on a stream that nobody asked on',
    (wire, id) => {
      wire.headers(id + 100, ok, { endStream: true })
    },
    /^502$/,
  ],
  ['a stream of its own', (wire) => wire.headers(2, ok, { endStream: true }), /^502$/],
  [
    'a push',
    (wire, id) => {
      const block = encodeFields([
        [':method', 'GET'],
        [':scheme', 'http'],
        [':authority', 'a.test'],
        [':path', '/pushed'],
      ])
      wire.frame('PUSH_PROMISE', END_HEADERS, id, Buffer.concat([words(2), block]))
    },
    /^502$/,
  ],
  ['a block that cannot be decoded', (wire, id) => wire.headers(id, Buffer.from([0x80]), { endStream: true }), /^502$/],
  [
    'a table that is larger than we allow',
    (wire, id) => wire.headers(id, Buffer.concat([tableSize(1_000_000), encodeFields(ok)]), { endStream: true }),
    /^502$/,
  ],
  [
    'a bomb of HPACK',
    (wire, id) => {
      const bomb = literal('bomb', 'x'.repeat(4_000), 'incremental')
      wire.headers(id, Buffer.concat([encodeFields(ok), bomb, Buffer.alloc(15_000, indexed(62))]), { endStream: true })
    },
    /^502$/,
  ],
  ['a thousand fields', (wire, id) => wire.headers(id, [...ok, ...large(1_000, 1)], { endStream: true }), /^502$/],
  [
    'trailers of a thousand fields',
    (wire, id) => {
      wire.headers(id, ok)
      wire.data(id, 'body')
      wire.headers(id, large(1_000, 1), { endStream: true })
    },
    /^(502|cut)$/,
  ],
  [
    'a frame that is too large',
    (wire, id) => {
      wire.headers(id, ok)
      wire.data(id, Buffer.alloc(20_000))
    },
    /^(502|cut)$/,
  ],
  ['a frame of 16 MB, announced', (wire) => wire.raw(Buffer.from([255, 255, 255, 0, 0, 0, 0, 0, 1])), /^502$/],
  [
    'padding that is too long',
    (wire, id) => {
      wire.headers(id, ok)
      wire.frame('DATA', PADDED, id, '\xff')
    },
    /^(502|cut)$/,
  ],
  ['SETTINGS of three bytes', (wire) => wire.frame('SETTINGS', 0, 0, 'abc'), /^502$/],
  ['SETTINGS_MAX_FRAME_SIZE of 1', (wire) => wire.settings([[5, 1]]), /^502$/],
  ['SETTINGS_INITIAL_WINDOW_SIZE of 2^31', (wire) => wire.settings([[4, 2 ** 31]]), /^502$/],
  ['SETTINGS_ENABLE_PUSH of 1', (wire) => wire.settings([[2, 1]]), /^(502|504)$/],
  ['WINDOW_UPDATE of 0', (wire) => wire.windowUpdate(0, 0), /^502$/],
  [
    'a window that overflows',
    (wire) => {
      wire.windowUpdate(0, 2 ** 31 - 1)
      wire.windowUpdate(0, 2 ** 31 - 1)
    },
    /^502$/,
  ],
  ['PING of three bytes', (wire) => wire.frame('PING', 0, 0, 'abc'), /^502$/],
  [
    'bytes that are no frames',
    (wire) => wire.raw(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')),
    /^502$/,
  ],
  ['GOAWAY with an error', (wire) => wire.goAway(1, 'INTERNAL_ERROR'), /^502$/],
  [
    'GOAWAY and the end of the connection',
    (wire) => {
      wire.goAway(1)
      wire.end()
    },
    /^502$/,
  ],
  [
    'half a frame and the end',
    (wire, id) => {
      wire.headers(id, ok)
      wire.raw(Buffer.from([0, 0, 9, 0]))
      wire.end()
    },
    /^cut$/,
  ],
  [
    'the end of the connection in a body',
    (wire, id) => {
      wire.headers(id, sized(9))
      wire.data(id, 'half')
      wire.end()
    },
    /^cut$/,
  ],
  [
    'a cut in a body',
    (wire, id) => {
      wire.headers(id, sized(9))
      wire.data(id, 'half')
      wire.cut()
    },
    /^(502|cut)$/,
  ],
]

/** On Node 20 nothing tells that nghttp2 has given a connection up: a PING that is not answered does, in time. */
const deaf = Number(process.versions.node.split('.')[0]) < 22

/** What comes of something, while the clock goes on by a second now and then. */
async function passing<T>(clock: ManualClock, what: Promise<T>): Promise<T> {
  let over = false
  const done = what.finally(() => {
    over = true
  })
  for (let at = 0; !over; at++) {
    await turns(5)
    // What comes at once shall not be hurried by a timeout.
    if (at > 20) clock.advance(1_000)
  }
  return done
}

describe('An upstream of HTTP/2 that answers with', () => {
  it.each(plays)('%s harms nobody but who asked it', async (_name, play, expected) => {
    const clock = new ManualClock()
    await using server = await playing(play)
    await using served = await fronted(server, clock)
    const came = await passing(clock, outcome(served))
    expect(deaf && came === '504' ? '502' : came).toMatch(expected)
    let others = await passing(clock, outcome(served, get('/fine')))
    for (let at = 0; deaf && at < 10 && others === '504'; at++)
      others = await passing(clock, outcome(served, get('/fine')))
    expect(others).toBe('200 fine')
    expect(await outcome(served, get('/fine'))).toBe('200 fine')
    expect(server.wires.length).toBeLessThan(4)
    for (let at = 0; at < (deaf ? 100 : 3); at++) {
      clock.advance(1_000)
      await turns(2)
    }
    await served.settled()
  })
})

describe('A flood from an upstream', () => {
  const floods: [name: string, send: (wire: Http2Wire, stream: number) => void][] = [
    ['PING', (wire) => wire.ping()],
    ['SETTINGS', (wire) => wire.settings({})],
    ['empty DATA', (wire, id) => wire.data(id, '')],
    ['WINDOW_UPDATE', (wire) => wire.windowUpdate(0, 1)],
    ['PRIORITY', (wire, id) => wire.priority(id, 0)],
    ['unknown frames', (wire) => wire.frame(0x40, 0, 0, 'x')],
    ['answers to PINGs that nobody sent', (wire) => wire.ping('pingpong', ACK)],
    ['interim responses', (wire, id) => wire.headers(id, [[':status', '103']])],
    ['resets', (wire, id) => wire.rst(id)],
    ['GOAWAY', (wire, id) => wire.goAway(id)],
  ]
  it.each(floods)('of %s does not bring down the proxy, nor fill its memory', async (_name, send) => {
    await using server = await playing(async (wire, id) => {
      if (_name === 'empty DATA') wire.headers(id, ok)
      for (let at = 0; at < 10_000 && !wire.closed; at += 100) {
        wire.together(() => {
          for (let one = 0; one < 100; one++) send(wire, id)
        })
        await new Promise((resolve) => setImmediate(resolve))
      }
      wire.end()
    })
    const clock = new ManualClock()
    await using served = await fronted(server, clock)
    const start = process.memoryUsage().rss
    expect(await outcome(served)).toMatch(/^(502|cut)$/)
    expect(process.memoryUsage().rss - start).toBeLessThan(100_000_000)
    expect(await outcome(served, get('/fine'))).toBe('200 fine')
    clock.advance(3_000)
    await served.settled()
  })
})

describe('The windows of an upstream', () => {
  const post = (body: string): string =>
    `POST /bad HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`

  it('that open byte by byte are waited for', async () => {
    const body = 'x'.repeat(50)
    await using server = await Http2Server.start(
      async (wire) => {
        const request = await wire.request()
        for (let at = 0; at < 50; at++) {
          wire.windowUpdate(request.id, 1)
          await wire.until('a byte', () => request.received > at)
        }
        wire.respond(request.id, 200, await wire.whole(request))
      },
      { settings: { INITIAL_WINDOW_SIZE: 0 }, credit: false },
    )
    await using served = await fronted(server)
    expect(await outcome(served, post(body))).toBe(`200 ${body.slice(0, 20)}`)
    expect(server.errors).toEqual([])
  })

  it('that shrink below zero and come back are kept to', async () => {
    const body = 'x'.repeat(200_000)
    await using server = await Http2Server.start(
      async (wire) => {
        const request = await wire.request()
        await wire.until('all that the window allows', () => request.received >= 1_000)
        wire.settings({ INITIAL_WINDOW_SIZE: 0 })
        wire.windowUpdate(request.id, 999)
        expect(await wire.alive()).toBe(true)
        expect(request.received).toBe(1_000)
        wire.windowUpdate(0, 1_000_000)
        wire.windowUpdate(request.id, 1_000_000)
        wire.respond(request.id, 200, String((await wire.whole(request)).length))
      },
      { settings: { INITIAL_WINDOW_SIZE: 1_000 }, credit: false },
    )
    await using served = await fronted(server)
    expect(await outcome(served, post(body))).toBe('200 200000')
    expect(server.errors).toEqual([])
  })

  it('that never open hold up one request, which ends by its timeout', async () => {
    const clock = new ManualClock()
    await using server = await Http2Server.start(
      async (wire) => {
        for (;;) {
          const request = await wire.request().catch(() => undefined)
          if (request === undefined) return
          if (request.header(':method') === 'GET') wire.respond(request.id, 200, 'fine')
        }
      },
      { settings: { INITIAL_WINDOW_SIZE: 0 }, credit: false },
    )
    await using served = await fronted(server, clock)
    const asked = outcome(served, post('x'.repeat(100_000)))
    await until(() => expect(server.wires[0]?.streams.size ?? 0).toBe(1))
    expect(await outcome(served, get('/fine'))).toBe('200 fine')
    expect(server.wires).toHaveLength(1)
    let answer: string | undefined
    void asked.then((came) => {
      answer = came
    })
    for (let at = 0; at < 700 && answer === undefined; at++) {
      clock.advance(1_000)
      await turns(2)
    }
    expect(await asked).toMatch(/^(504|502|408|cut)$/)
    await until(() => expect(server.wires[0]?.streams.get(1)?.reset).toBe('CANCEL'))
    await served.settled()
  })

  it('of ours hold it up, when nobody reads its response', async () => {
    let sent = 0
    await using server = await playing(async (wire, id) => {
      wire.headers(id, ok)
      const piece = Buffer.alloc(16_384, 'x')
      for (let at = 0; at < 6_000 && !wire.closed; at++) {
        while (wire.room(id) < piece.length && !wire.closed && wire.stream(id).reset === undefined)
          await new Promise((resolve) => setImmediate(resolve))
        if (wire.closed || wire.stream(id).reset !== undefined) return
        wire.data(id, piece)
        sent += piece.length
      }
    })
    await using served = await fronted(server)
    const client = await served.dial()
    await client.send(get('/bad'))
    await client.peer.read('\r\n\r\n')
    client.peer.pause()
    await stands(() => sent)
    // What kernels and windows hold.
    expect(sent).toBeLessThan(20_000_000)
    expect(await outcome(served, get('/fine'))).toBe('200 fine')
    expect(server.wires).toHaveLength(1)
    client.peer.reset()
    await until(() => expect(server.wires[0]?.streams.get(1)?.reset).toBe('CANCEL'))
    await served.settled()
  })

  it('of ours that it does not keep to end the connection', async () => {
    await using server = await playing(async (wire, id) => {
      wire.headers(id, ok)
      const piece = Buffer.alloc(16_384, 'x')
      for (let at = 0; at < 400 && !wire.dead; at++) {
        wire.data(id, piece)
        if (at % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    })
    await using served = await fronted(server)
    const client = await served.dial()
    await client.send(get('/bad'))
    await client.peer.read('\r\n\r\n')
    client.peer.pause()
    await until(() =>
      expect(server.wires[0]?.goneAway?.code ?? server.wires[0]?.stream(1).reset).toBe('FLOW_CONTROL_ERROR'),
    )
    client.peer.resume()
    await client.peer.over()
    expect(client.peer.unread.subarray(-5).toString()).not.toBe('0\r\n\r\n')
    client.peer.end()
    expect(await outcome(served, get('/fine'))).toBe('200 fine')
  })
})

describe('An upstream that changes its mind', () => {
  it('about how many streams it takes: none is sent beyond, and none is forgotten', async () => {
    await using server = await Http2Server.start(
      async (wire) => {
        wire.settings({ MAX_CONCURRENT_STREAMS: 1 })
        for (;;) {
          const request = await wire.request().catch(() => undefined)
          if (request === undefined) return
          await turns(3)
          wire.respond(request.id, 200, 'fine')
        }
      },
      { settings: { MAX_CONCURRENT_STREAMS: 10 } },
    )
    await using served = await fronted(server)
    const answers = await Promise.all(Array.from({ length: 30 }, () => outcome(served, get('/fine'))))
    expect(new Set(answers)).toEqual(new Set(['200 fine']))
    await served.settled()
  })

  it('and takes no streams at all, for a while', async () => {
    await using server = await Http2Server.start(
      async (wire) => {
        await turns(20)
        wire.settings({ MAX_CONCURRENT_STREAMS: 5 })
        for (;;) {
          const request = await wire.request().catch(() => undefined)
          if (request === undefined) return
          wire.respond(request.id, 200, 'fine')
        }
      },
      { settings: { MAX_CONCURRENT_STREAMS: 0 } },
    )
    await using served = await fronted(server)
    const answers = await Promise.all(Array.from({ length: 5 }, () => outcome(served, get('/fine'))))
    expect(new Set(answers)).toEqual(new Set(['200 fine']))
    await served.settled()
  })

  it('by GOAWAY at the moment of a request: each is answered, asked once or where it was not seen', async () => {
    const seen = new Map<string, number>()
    await using server = await Http2Server.start(async (wire) => {
      let count = 0
      for (;;) {
        const request = await wire.request().catch(() => undefined)
        if (request === undefined) return
        if (++count === 3) {
          wire.goAway(request.id)
          // What comes above is not seen.
        }
        if (count > 3) continue
        const path = request.header(':path') ?? ''
        seen.set(path, (seen.get(path) ?? 0) + 1)
        wire.respond(request.id, 200, 'fine')
      }
    })
    await using served = await fronted(server)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        outcome(served, `POST /${at} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n`),
      ),
    )
    expect(new Set(answers)).toEqual(new Set(['200 fine']))
    expect([...seen.values()].every((times) => times === 1)).toBe(true)
    await served.settled()
  })

  it('by REFUSED_STREAM for every other request: POSTs are asked again, once seen', async () => {
    let refused = 0
    await using server = await Http2Server.start(async (wire) => {
      for (let count = 0; ; count++) {
        const request = await wire.request().catch(() => undefined)
        if (request === undefined) return
        if (count % 2 === 0) {
          refused++
          wire.rst(request.id, 'REFUSED_STREAM')
        } else wire.respond(request.id, 200, 'fine')
      }
    })
    await using served = await fronted(server)
    for (let at = 0; at < 10; at++) {
      const came = await outcome(served, 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody')
      expect(came).toBe('200 fine')
    }
    expect(refused).toBe(10)
    await served.settled()
  })
})

describe('A head of an upstream', () => {
  it('brings no line of its own into HTTP/1.1', async () => {
    await using server = await playing((wire, id) => {
      const fields: Field[] = [
        ...ok,
        ['x-a', 'v\r\nset-cookie: evil=1'],
        ['x-b', 'v\nset-cookie: evil=1'],
        ['x-c', 'v\rset-cookie: evil=1'],
        ['x-d\r\nset-cookie', 'evil=1'],
        ['set-cookie: evil', '1'],
        ['x-e', 'v\0'],
        ['x-fine', 'fine'],
      ]
      wire.headers(id, fields)
      wire.frame('DATA', END_STREAM, id, 'body')
    })
    await using served = await fronted(server)
    const client = await served.dial()
    await client.send(get('/bad'))
    const answer = await client.response()
    if (answer.status === 200) expect(answer.header('x-fine')).toBe('fine')
    else expect(answer.status).toBe(502)
    expect(answer.fields.map(([name]) => name.toLowerCase())).not.toContain('set-cookie')
    expect(JSON.stringify(answer.fields)).not.toContain('evil')
    client.peer.end()
  })
})
