import { expect } from 'vitest'
import { encodeFields } from '../../../support/hpack.ts'
import { settingNumbers } from '../../../support/http2-frames.ts'
import { type Http2Wire, request } from '../../../support/http2-wire.ts'
import { answered, type ConformanceCase, connectionError, errorOrIgnored, ignored, streamError, that } from './case.ts'

const get = encodeFields(request())

async function closeByEnd(wire: Http2Wire): Promise<void> {
  wire.get(1)
  await wire.response(1)
}

async function closeByReset(wire: Http2Wire): Promise<void> {
  wire.headers(1, request('POST', '/hold'))
  wire.rst(1)
  await wire.alive()
}

/** A request that is malformed, and so reset by the server. */
async function closeByServer(wire: Http2Wire): Promise<void> {
  wire.headers(1, [...request('POST', '/echo'), ['Upper', 'case']])
  await wire.ending(1)
}

/** RFC 9113 5.1 and 5.3: the states of a stream, their numbers and their count. */
export const streamCases: readonly ConformanceCase[] = [
  {
    section: '9113 5.1',
    name: 'DATA on an idle stream',
    send: (wire) => wire.data(1, 'data', { endStream: true }),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 5.1',
    name: 'RST_STREAM on an idle stream',
    send: (wire) => wire.rst(1),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 5.1',
    name: 'WINDOW_UPDATE on an idle stream',
    send: (wire) => wire.windowUpdate(1, 100),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 5.1',
    name: 'CONTINUATION on an idle stream',
    send: (wire) => wire.continuation(1, get),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 5.1',
    name: 'PRIORITY on an idle stream',
    send: (wire) => wire.priority(1, 0, 256),
    expect: ignored(),
  },
  {
    section: '9113 5.1',
    name: 'DATA on a half-closed stream',
    send: (wire) => {
      wire.get(1, '/hold')
      wire.data(1, 'more')
    },
    expect: streamError(1, 'STREAM_CLOSED'),
    reaches: true,
  },
  {
    section: '9113 5.1',
    name: 'HEADERS on a half-closed stream',
    send: (wire) => {
      wire.get(1, '/hold')
      wire.headers(1, get, { endStream: true })
    },
    expect: streamError(1, 'STREAM_CLOSED'),
    reaches: true,
  },
  {
    section: '9113 5.1',
    name: 'CONTINUATION on a half-closed stream',
    send: (wire) => {
      wire.get(1, '/hold')
      wire.continuation(1, [['a', 'b']])
    },
    expect: connectionError('PROTOCOL_ERROR', 'STREAM_CLOSED'),
    reaches: true,
  },
  {
    section: '9113 5.1',
    name: 'WINDOW_UPDATE and PRIORITY on a half-closed stream',
    options: { settings: { INITIAL_WINDOW_SIZE: 0 }, credit: false },
    send: (wire) => {
      wire.get(1)
      wire.priority(1, 3)
      wire.windowUpdate(1, 1_000)
    },
    expect: answered(1),
  },
  {
    section: '9113 5.1',
    name: 'RST_STREAM on a half-closed stream',
    send: (wire) => {
      wire.get(1, '/hold')
      wire.rst(1)
    },
    expect: ignored(),
    reaches: true,
  },
  {
    section: '9113 5.1',
    name: 'DATA after RST_STREAM of the client',
    send: async (wire) => {
      await closeByReset(wire)
      wire.data(1, 'data')
    },
    expect: errorOrIgnored(1, 'STREAM_CLOSED', 'PROTOCOL_ERROR'),
  },
  {
    section: '9113 5.1',
    name: 'HEADERS after RST_STREAM of the client',
    send: async (wire) => {
      await closeByReset(wire)
      wire.headers(1, get, { endStream: true })
    },
    expect: errorOrIgnored(1, 'STREAM_CLOSED', 'PROTOCOL_ERROR'),
  },
  {
    section: '9113 5.1',
    name: 'CONTINUATION after RST_STREAM of the client',
    send: async (wire) => {
      await closeByReset(wire)
      wire.continuation(1, [['a', 'b']])
    },
    expect: connectionError('STREAM_CLOSED', 'PROTOCOL_ERROR'),
  },
  {
    section: '9113 5.1',
    name: 'PRIORITY, RST_STREAM and WINDOW_UPDATE after RST_STREAM of the client',
    send: async (wire) => {
      await closeByReset(wire)
      wire.priority(1, 0)
      wire.rst(1)
      wire.windowUpdate(1, 100)
    },
    expect: errorOrIgnored(1, 'STREAM_CLOSED', 'PROTOCOL_ERROR'),
  },
  {
    section: '9113 5.1',
    name: 'DATA after both sides have ended',
    send: async (wire) => {
      await closeByEnd(wire)
      wire.data(1, 'data')
    },
    expect: errorOrIgnored(1, 'STREAM_CLOSED', 'PROTOCOL_ERROR'),
    reaches: true,
  },
  {
    section: '9113 5.1',
    name: 'HEADERS after both sides have ended',
    send: async (wire) => {
      await closeByEnd(wire)
      wire.headers(1, get, { endStream: true })
    },
    expect: errorOrIgnored(1, 'STREAM_CLOSED', 'PROTOCOL_ERROR'),
    reaches: true,
  },
  {
    section: '9113 5.1',
    name: 'CONTINUATION after both sides have ended',
    send: async (wire) => {
      await closeByEnd(wire)
      wire.continuation(1, [['a', 'b']])
    },
    expect: connectionError('STREAM_CLOSED', 'PROTOCOL_ERROR'),
    reaches: true,
  },
  {
    section: '9113 5.1',
    name: 'PRIORITY, RST_STREAM and WINDOW_UPDATE after both sides have ended',
    send: async (wire) => {
      await closeByEnd(wire)
      wire.priority(1, 0)
      wire.windowUpdate(1, 100)
      wire.rst(1)
    },
    expect: ignored(),
    reaches: true,
  },
  {
    section: '9113 5.1',
    name: 'what a client had on its way when the server reset its stream',
    send: async (wire) => {
      await closeByServer(wire)
      wire.data(1, 'on its way')
      wire.headers(1, [['some', 'trailer']], { endStream: true })
    },
    expect: ignored(),
  },
  {
    section: '9113 5.1',
    name: "DATA on a stream that the server has reset gives the connection's window back",
    send: async (wire) => {
      await closeByServer(wire)
      for (let turn = 0; turn < 4; turn++) {
        for (let sent = 0; sent < 40_000; sent += 10_000) wire.data(1, Buffer.alloc(10_000))
        await wire.until('the window of the connection', () => wire.closed || wire.window > 20_000)
      }
    },
    expect: ignored(),
  },
  {
    section: '9113 5.1.1',
    name: 'a stream with an even number',
    send: (wire) => wire.get(2),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 5.1.1',
    name: 'a stream with a lower number than the last',
    send: (wire) => {
      wire.get(5, '/hold')
      wire.get(3)
    },
    expect: errorOrIgnored(3, 'PROTOCOL_ERROR', 'STREAM_CLOSED'),
    limit: 'it is discarded, not served',
    reaches: true,
  },
  {
    section: '9113 5.1.1',
    name: 'numbers may be left out',
    send: (wire) => wire.get(0x1001),
    expect: answered(0x1001),
  },
  {
    section: '9113 5.1.1',
    name: 'the last number',
    send: (wire) => wire.get(0x7fff_ffff),
    expect: answered(0x7fff_ffff),
  },
  {
    section: '9113 5.1.1',
    name: 'DATA on a stream whose number was left out',
    send: (wire) => {
      wire.get(5, '/hold')
      wire.data(3, 'data')
    },
    expect: errorOrIgnored(3, 'STREAM_CLOSED', 'PROTOCOL_ERROR'),
    reaches: true,
  },
  {
    section: '9113 5.1.2',
    name: 'more streams than SETTINGS_MAX_CONCURRENT_STREAMS',
    send: (wire) => {
      const limit = wire.peerSettings.get(settingNumbers.MAX_CONCURRENT_STREAMS) ?? 0
      expect(limit, 'a limit is announced').toBeGreaterThan(0)
      expect(limit, 'a limit is announced').toBeLessThan(1_001)
      wire.together(() => {
        for (let at = 0; at <= limit; at++) wire.get(1 + at * 2, '/hold')
      })
    },
    expect: that('the one beyond is refused', async (wire) => {
      const limit = wire.peerSettings.get(settingNumbers.MAX_CONCURRENT_STREAMS) ?? 0
      return streamError(1 + limit * 2, 'REFUSED_STREAM', 'PROTOCOL_ERROR').check(wire)
    }),
    reaches: true,
  },
  {
    section: '9113 5.1.2',
    name: 'as many streams as SETTINGS_MAX_CONCURRENT_STREAMS, again and again',
    send: async (wire) => {
      const limit = Math.min(wire.peerSettings.get(settingNumbers.MAX_CONCURRENT_STREAMS) ?? 100, 50)
      for (let round = 0; round < 3; round++) {
        wire.together(() => {
          for (let at = 0; at < limit; at++) wire.get(1 + (round * limit + at) * 2)
        })
        for (let at = 0; at < limit; at++) await wire.response(1 + (round * limit + at) * 2)
      }
    },
    expect: ignored(10_001),
    reaches: true,
  },
  {
    section: '9113 5.3.1',
    name: 'HEADERS with a priority',
    send: (wire) => wire.headers(3, get, { endStream: true, priority: { on: 1, weight: 256, exclusive: true } }),
    expect: answered(3),
  },
  {
    section: '9113 5.3.2',
    name: 'HEADERS that depend on themselves: deprecated, so unharmed or an error of the stream',
    send: (wire) => wire.headers(1, get, { endStream: true, priority: { on: 1 } }),
    expect: that('answered or PROTOCOL_ERROR', async (wire) => {
      if ((await wire.ending(1)).kind === 'message') expect(wire.stream(1).status).toBe(200)
      else await streamError(1, 'PROTOCOL_ERROR').check(wire)
    }),
    reaches: true,
  },
  {
    section: '9113 5.3.2',
    name: 'PRIORITY that depends on itself: deprecated, so ignored or an error',
    send: (wire) => {
      wire.get(1)
      wire.priority(1, 1)
    },
    expect: that('answered or PROTOCOL_ERROR', async (wire) => {
      if ((await wire.ending(1)).kind !== 'message') await streamError(1, 'PROTOCOL_ERROR').check(wire)
    }),
    reaches: true,
  },
]
