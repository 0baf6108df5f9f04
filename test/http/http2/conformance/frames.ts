import { expect } from 'vitest'
import { encodeFields } from '../../../support/hpack.ts'
import { ACK, END_HEADERS, END_STREAM, frameTypes, PADDED, PRIORITY, words } from '../../../support/http2-frames.ts'
import { type Http2Wire, request } from '../../../support/http2-wire.ts'
import {
  answered,
  type ConformanceCase,
  connectionError,
  count,
  errorOrIgnored,
  ignored,
  streamError,
  that,
} from './case.ts'

const get = encodeFields(request())
const most = 2 ** 31 - 1

/** The lengths of the DATA that came on a stream. */
function sizes(wire: Http2Wire, stream = 1): number[] {
  return wire.frames
    .filter((frame) => frame.type === frameTypes.DATA && frame.stream === stream)
    .map(({ payload }) => payload.length)
}

function post(name: string, send: (wire: Http2Wire) => void, body: RegExp): ConformanceCase {
  return {
    section: '9113 6.1',
    name,
    send: (wire) => {
      wire.headers(1, request('POST', '/echo'))
      send(wire)
    },
    expect: answered(1, body),
  }
}

const data: readonly ConformanceCase[] = [
  post('DATA with padding', (wire) => wire.data(1, 'body', { padding: 200, endStream: true }), /^body$/),
  post('DATA with an empty padding', (wire) => wire.data(1, 'body', { padding: 0, endStream: true }), /^body$/),
  post('DATA of nothing but padding', (wire) => wire.data(1, '', { padding: 255, endStream: true }), /^$/),
  post(
    'empty DATA, and an empty end',
    (wire) => {
      wire.data(1, '')
      wire.data(1, 'body')
      wire.data(1, '')
      wire.data(1, '', { endStream: true })
    },
    /^body$/,
  ),
  {
    section: '9113 6.1',
    name: 'an end without bytes, in one piece with the head',
    send: (wire) => {
      wire.together(() => {
        wire.headers(1, request('POST', '/echo'))
        wire.data(1, '', { endStream: true })
      })
    },
    expect: answered(1, /^$/),
  },
  {
    section: '9113 6.1',
    name: 'padding counts for the windows, and is given back',
    send: async (wire) => {
      wire.headers(1, request('POST', '/echo'))
      for (let at = 0; at < 1_000; at++) {
        await wire.until('a window', () => wire.closed || wire.room(1) > 256)
        wire.data(1, 'x', { padding: 255 })
      }
      wire.data(1, '', { endStream: true })
    },
    expect: answered(1, /^x{1000}$/),
  },
  {
    section: '9113 6.1',
    name: 'DATA on stream 0',
    send: (wire) => wire.data(0, 'data'),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.1',
    name: 'padding as long as the payload',
    send: (wire) => {
      wire.headers(1, request('POST', '/echo'))
      wire.frame('DATA', PADDED | END_STREAM, 1, Buffer.from([4, 1, 2, 3]))
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.1',
    name: 'a padded frame of no length',
    send: (wire) => {
      wire.headers(1, request('POST', '/echo'))
      wire.frame('DATA', PADDED | END_STREAM, 1)
    },
    expect: connectionError('FRAME_SIZE_ERROR', 'PROTOCOL_ERROR'),
  },
]

const headers: readonly ConformanceCase[] = [
  {
    section: '9113 6.2',
    name: 'HEADERS with padding and priority',
    send: (wire) => wire.headers(1, get, { endStream: true, padding: 100, priority: { on: 0, weight: 1 } }),
    expect: answered(1),
  },
  {
    section: '9113 6.2',
    name: 'HEADERS without END_STREAM, and an empty DATA',
    send: (wire) => {
      wire.headers(1, get)
      wire.data(1, '', { endStream: true })
    },
    expect: answered(1),
  },
  {
    section: '9113 6.2',
    name: 'HEADERS on stream 0',
    send: (wire) => wire.headers(0, get, { endStream: true }),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.2',
    name: 'padding as long as the payload',
    send: (wire) => {
      const payload = Buffer.concat([Buffer.from([get.length + 1]), get])
      wire.frame('HEADERS', PADDED | END_HEADERS | END_STREAM, 1, payload)
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.2',
    name: 'HEADERS too short for their priority',
    send: (wire) => wire.frame('HEADERS', PRIORITY | END_HEADERS | END_STREAM, 1, Buffer.from([0, 0, 0, 0])),
    expect: connectionError('FRAME_SIZE_ERROR', 'PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.2',
    name: 'HEADERS without END_HEADERS, and then DATA',
    send: (wire) => {
      wire.headers(1, get, { endHeaders: false })
      wire.data(1, 'data', { endStream: true })
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
]

const controls: readonly ConformanceCase[] = [
  {
    section: '9113 6.3',
    name: 'PRIORITY on stream 0',
    send: (wire) => wire.priority(0, 1),
    expect: errorOrIgnored(0, 'PROTOCOL_ERROR'),
    limit: 'it is ignored, since nghttp2 does not read PRIORITY any more',
  },
  {
    section: '9113 6.3',
    name: 'PRIORITY of four bytes',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.frame('PRIORITY', 0, 1, words(0))
    },
    expect: streamError(1, 'FRAME_SIZE_ERROR'),
  },
  {
    section: '9113 6.3',
    name: 'PRIORITY in each state of a stream',
    send: async (wire) => {
      wire.priority(1, 0)
      wire.headers(1, request('POST', '/echo'))
      wire.priority(1, 0)
      wire.data(1, 'body', { endStream: true })
      wire.priority(1, 0)
      await wire.response(1)
      wire.priority(1, 7)
    },
    expect: ignored(),
    reaches: true,
  },
  {
    section: '9113 6.4',
    name: 'RST_STREAM on stream 0',
    send: (wire) => wire.rst(0),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.4',
    name: 'RST_STREAM of three bytes',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.frame('RST_STREAM', 0, 1, 'abc')
    },
    expect: connectionError('FRAME_SIZE_ERROR'),
  },
  {
    section: '9113 6.4',
    name: 'RST_STREAM ends its stream only',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.headers(3, request('POST', '/echo'))
      wire.rst(1)
      wire.data(3, 'body', { endStream: true })
    },
    expect: answered(3, /^body$/),
  },
  {
    section: '9113 6.6',
    name: 'PUSH_PROMISE of a client',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.frame('PUSH_PROMISE', END_HEADERS, 1, Buffer.concat([words(2), get]))
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.7',
    name: 'PING is answered with its own bytes',
    send: (wire) => wire.ping(Buffer.from([0, 255, 1, 2, 3, 4, 5, 6])),
    expect: that('they come back', async (wire) => {
      const bytes = Buffer.from([0, 255, 1, 2, 3, 4, 5, 6])
      await wire.until('PONG', () => wire.frames.some(({ flags, payload }) => flags === ACK && payload.equals(bytes)))
    }),
  },
  {
    section: '9113 6.7',
    name: 'an answer to PING that nobody asked for: not answered, or an error',
    send: (wire) => wire.ping('unasked!', ACK),
    expect: that('no PING comes', async (wire) => {
      if (!(await wire.alive())) await connectionError('PROTOCOL_ERROR', 'INTERNAL_ERROR').check(wire)
      expect(wire.frames.some(({ payload }) => payload.toString() === 'unasked!')).toBe(false)
    }),
    limit: 'it is an error of the connection, INTERNAL_ERROR',
  },
  {
    section: '9113 6.7',
    name: 'PING on a stream',
    send: (wire) => wire.frame('PING', 0, 1, 'pingpong'),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  ...[0, 7, 9].map(
    (length): ConformanceCase => ({
      section: '9113 6.7',
      name: `PING of ${length} bytes`,
      send: (wire) => wire.frame('PING', 0, 0, 'x'.repeat(length)),
      expect: connectionError('FRAME_SIZE_ERROR'),
    }),
  ),
  {
    section: '9113 6.8',
    name: 'GOAWAY on a stream',
    send: (wire) => wire.frame('GOAWAY', 0, 1, words(0, 0)),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.8',
    name: 'GOAWAY of seven bytes',
    send: (wire) => wire.frame('GOAWAY', 0, 0, '1234567'),
    expect: connectionError('FRAME_SIZE_ERROR'),
  },
  {
    section: '9113 6.10',
    name: 'many CONTINUATIONs',
    send: (wire) => wire.headers(1, get, { endStream: true, pieces: [2, 2, 2, 2] }),
    expect: answered(1),
  },
  {
    section: '9113 6.10',
    name: 'an empty CONTINUATION at the end',
    send: (wire) => wire.headers(1, get, { endStream: true, pieces: [get.length] }),
    expect: answered(1),
  },
  {
    section: '9113 6.10',
    name: 'CONTINUATION on stream 0',
    send: (wire) => {
      wire.headers(1, get, { endHeaders: false, endStream: true })
      wire.continuation(0, [['a', 'b']])
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.10',
    name: 'CONTINUATION on another stream',
    send: (wire) => {
      wire.headers(1, get, { endHeaders: false, endStream: true })
      wire.continuation(3, [['a', 'b']])
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.10',
    name: 'CONTINUATION after a block has ended',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.continuation(1, [['a', 'b']])
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.10',
    name: 'CONTINUATION after CONTINUATION with END_HEADERS',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'), { pieces: [3] })
      wire.continuation(1, [['a', 'b']])
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.10',
    name: 'CONTINUATION after DATA',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.data(1, 'data')
      wire.continuation(1, [['a', 'b']])
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
]

function setting(
  name: string,
  values: [number, number][],
  code?: 'PROTOCOL_ERROR' | 'FLOW_CONTROL_ERROR',
): ConformanceCase {
  return {
    section: '9113 6.5.2',
    name,
    send: (wire) => wire.settings(values),
    expect: code === undefined ? ignored() : connectionError(code),
  }
}

const settings: readonly ConformanceCase[] = [
  {
    section: '9113 6.5',
    name: 'an acknowledgement with a payload',
    send: (wire) => wire.frame('SETTINGS', ACK, 0, '123456'),
    expect: connectionError('FRAME_SIZE_ERROR'),
  },
  {
    section: '9113 6.5',
    name: 'SETTINGS on a stream',
    send: (wire) => wire.frame('SETTINGS', 0, 1),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.5',
    name: 'SETTINGS of three bytes',
    send: (wire) => wire.frame('SETTINGS', 0, 0, '123'),
    expect: connectionError('FRAME_SIZE_ERROR'),
  },
  setting('SETTINGS_ENABLE_PUSH of 2', [[2, 2]], 'PROTOCOL_ERROR'),
  setting('SETTINGS_INITIAL_WINDOW_SIZE of 2^31', [[4, 2 ** 31]], 'FLOW_CONTROL_ERROR'),
  setting('SETTINGS_MAX_FRAME_SIZE of 16,383', [[5, 16_383]], 'PROTOCOL_ERROR'),
  setting('SETTINGS_MAX_FRAME_SIZE of 2^24', [[5, 2 ** 24]], 'PROTOCOL_ERROR'),
  setting('the largest values', [
    [1, 65_536],
    [2, 1],
    [3, 0xffff_ffff],
    [4, most],
    [5, 2 ** 24 - 1],
    [6, 0xffff_ffff],
  ]),
  setting('the smallest values', [
    [1, 0],
    [2, 0],
    [5, 16_384],
    [6, 1_000],
  ]),
  {
    section: '9113 6.5.3',
    name: 'SETTINGS are acknowledged at once, each',
    send: (wire) => {
      wire.settings({})
      wire.settings({ ENABLE_PUSH: 0 })
      wire.settings([])
    },
    expect: that('three acknowledgements more', async (wire) => {
      expect(await wire.alive()).toBe(true)
      expect(count(wire, 'SETTINGS', true)).toBe(4)
    }),
  },
  {
    section: '9113 6.5.3',
    name: 'values are taken in their order',
    options: { credit: false },
    send: (wire) => {
      wire.settings([
        [4, 100],
        [4, 1],
      ])
      wire.get(1)
    },
    expect: that('one byte comes', async (wire) => {
      await wire.until('a byte', () => wire.stream(1).received > 0)
      expect(await wire.alive()).toBe(true)
      expect(wire.stream(1).received).toBe(1)
    }),
    reaches: true,
  },
]

const windows: readonly ConformanceCase[] = [
  {
    section: '9113 6.9',
    name: 'WINDOW_UPDATE of 0 on the connection',
    send: (wire) => wire.windowUpdate(0, 0),
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.9',
    name: 'WINDOW_UPDATE of 0 on a stream',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.windowUpdate(1, 0)
    },
    expect: streamError(1, 'PROTOCOL_ERROR'),
  },
  {
    section: '9113 6.9',
    name: 'WINDOW_UPDATE of three bytes',
    send: (wire) => wire.frame('WINDOW_UPDATE', 0, 0, '123'),
    expect: connectionError('FRAME_SIZE_ERROR'),
  },
  {
    section: '9113 6.9',
    name: 'the reserved bit of WINDOW_UPDATE',
    send: (wire) => wire.frame('WINDOW_UPDATE', 0, 0, words(0x8000_0001)),
    expect: ignored(),
  },
  {
    section: '9113 6.9.1',
    name: "a stream's window is kept to",
    options: { settings: { INITIAL_WINDOW_SIZE: 1 }, credit: false },
    send: async (wire) => {
      wire.get(1)
      await wire.until('a byte', () => wire.stream(1).received > 0)
      wire.windowUpdate(1, 2)
      await wire.until('two bytes more', () => wire.stream(1).received > 2)
    },
    expect: that('one byte, then two', async (wire) => {
      expect(await wire.alive()).toBe(true)
      expect(sizes(wire)).toEqual([1, 2])
    }),
    reaches: true,
  },
  {
    section: '9113 6.9.1',
    name: "the connection's window is kept to, over all streams",
    options: { settings: { INITIAL_WINDOW_SIZE: 1_000_000 }, credit: false },
    send: async (wire) => {
      wire.get(1, '/long')
      wire.get(3, '/long')
      await wire.until('65,535 bytes', () => wire.stream(1).received + wire.stream(3).received >= 65_535)
    },
    expect: that('65,535 bytes, no more', async (wire) => {
      expect(await wire.alive()).toBe(true)
      expect(wire.stream(1).received + wire.stream(3).received).toBe(65_535)
    }),
    reaches: true,
  },
  {
    section: '9113 6.9.1',
    name: 'the window of the connection beyond 2^31-1',
    send: (wire) => {
      wire.windowUpdate(0, most)
      wire.windowUpdate(0, most)
    },
    expect: connectionError('FLOW_CONTROL_ERROR'),
  },
  {
    section: '9113 6.9.1',
    name: 'the window of a stream beyond 2^31-1',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.windowUpdate(1, most)
      wire.windowUpdate(1, most)
    },
    expect: streamError(1, 'FLOW_CONTROL_ERROR'),
  },
  {
    section: '9113 6.9.1',
    name: 'more DATA than the window of the stream or of the connection',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      const beyond = Math.max(wire.room(1), wire.window) + 1
      for (let sent = 0; sent <= beyond * 2; sent += 16_384) wire.data(1, Buffer.alloc(16_384))
    },
    expect: that('an error FLOW_CONTROL_ERROR, or windows that opened meanwhile', async (wire) => {
      await wire.until(
        'an end',
        () => wire.goneAway !== undefined || wire.stream(1).reset !== undefined || wire.room(1) > 0,
      )
      if (wire.goneAway !== undefined) expect(wire.goneAway.code).toBe('FLOW_CONTROL_ERROR')
    }),
  },
  {
    section: '9113 6.9.2',
    name: 'a change of SETTINGS_INITIAL_WINDOW_SIZE holds for open streams',
    options: { settings: { INITIAL_WINDOW_SIZE: 0 }, credit: false },
    send: async (wire) => {
      wire.get(1)
      await wire.head(1)
      wire.settings({ INITIAL_WINDOW_SIZE: 1 })
    },
    expect: that('a byte comes', async (wire) => {
      await wire.until('a byte', () => wire.stream(1).received > 0)
      expect(sizes(wire)).toEqual([1])
    }),
    reaches: true,
  },
  {
    section: '9113 6.9.2',
    name: 'a window may become negative',
    options: { settings: { INITIAL_WINDOW_SIZE: 3 }, credit: false },
    send: async (wire) => {
      wire.get(1)
      await wire.until('three bytes', () => wire.stream(1).received >= 3)
      wire.settings({ INITIAL_WINDOW_SIZE: 2 })
      wire.windowUpdate(1, 1)
      await wire.alive()
      expect(wire.stream(1).received).toBe(3)
      wire.windowUpdate(1, 1)
    },
    expect: that('a byte comes when it is positive', async (wire) => {
      await wire.until('a fourth byte', () => wire.stream(1).received > 3)
      expect(sizes(wire)).toEqual([3, 1])
    }),
    reaches: true,
  },
  {
    section: '9113 6.9.2',
    name: 'a change of SETTINGS_INITIAL_WINDOW_SIZE that makes a window too large',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.windowUpdate(1, most - 65_535)
      wire.settings({ INITIAL_WINDOW_SIZE: most })
    },
    expect: streamError(1, 'FLOW_CONTROL_ERROR'),
    limit: 'Node 20 resets the stream only',
  },
  {
    section: '9113 6.9.1',
    name: 'an end without bytes needs no window',
    options: { settings: { INITIAL_WINDOW_SIZE: 0 }, credit: false },
    send: (wire) => wire.get(1, '/empty'),
    expect: answered(1, /^$/),
  },
  {
    section: '9113 4.2',
    name: 'no frame of an answer is longer than 16,384 bytes',
    options: { settings: { INITIAL_WINDOW_SIZE: 1_000_000 } },
    send: (wire) => wire.get(1, '/long'),
    expect: that('none is', async (wire) => {
      expect((await wire.response(1)).received).toBe(200_000)
      expect(Math.max(...sizes(wire))).toBeLessThan(16_385)
    }),
    reaches: true,
  },
]

/** RFC 9113 6: each frame, its lengths, streams and flags. */
export const frameCases: readonly ConformanceCase[] = [...data, ...headers, ...controls, ...settings, ...windows]
