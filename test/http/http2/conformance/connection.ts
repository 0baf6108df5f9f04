import { expect } from 'vitest'
import { encodeFields, literal } from '../../../support/hpack.ts'
import {
  ACK,
  clientPreface,
  END_HEADERS,
  END_STREAM,
  frame,
  frameTypes,
  settingsPayload,
  words,
} from '../../../support/http2-frames.ts'
import { request } from '../../../support/http2-wire.ts'
import { answered, type ConformanceCase, connectionEnds, connectionError, ignored, streamError, that } from './case.ts'

const bare = { greet: false }
const settings = frame('SETTINGS', 0, 0)
const get = encodeFields(request())

/** RFC 9113 3.4, 4, 5.4, 5.5 and 7: the preface, frames as such, errors, what is unknown. */
export const connectionCases: readonly ConformanceCase[] = [
  {
    section: '9113 3.4',
    name: "the server's first frame is SETTINGS",
    options: bare,
    send: (wire) => wire.raw(Buffer.concat([clientPreface, settings])),
    expect: that('SETTINGS come first', async (wire) => {
      await wire.ready()
      expect(wire.frames[0]).toMatchObject({ type: frameTypes.SETTINGS, flags: 0, stream: 0 })
    }),
  },
  {
    section: '9113 3.4',
    name: 'a preface that comes byte by byte',
    options: { greet: false, polite: false },
    send: async (wire) => {
      for (const byte of clientPreface) {
        wire.raw(Buffer.from([byte]))
        await new Promise((resolve) => setImmediate(resolve))
      }
      wire.raw(settings)
      wire.get(1)
    },
    expect: answered(1),
  },
  {
    section: '9113 3.4',
    name: 'a request in one piece with the preface',
    options: bare,
    send: (wire) =>
      wire.raw(Buffer.concat([clientPreface, settings, frame('HEADERS', END_HEADERS | END_STREAM, 1, get)])),
    expect: answered(1),
  },
  {
    section: '9113 3.4',
    name: 'a wrong preface',
    options: bare,
    send: (wire) => wire.raw(Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n')),
    expect: connectionEnds('PROTOCOL_ERROR', 'INTERNAL_ERROR'),
    limit: 'its GOAWAY says INTERNAL_ERROR',
  },
  {
    section: '9113 3.4',
    name: 'a preface without SETTINGS',
    options: bare,
    send: (wire) => wire.raw(Buffer.concat([clientPreface, frame('PING', 0, 0, 'pingpong')])),
    expect: connectionEnds('PROTOCOL_ERROR'),
  },
  {
    section: '9113 3.4',
    name: 'an acknowledgement in place of the first SETTINGS',
    options: bare,
    send: (wire) => wire.raw(Buffer.concat([clientPreface, frame('SETTINGS', ACK, 0)])),
    expect: connectionEnds('PROTOCOL_ERROR'),
  },
  {
    section: '9113 4.1',
    name: 'a frame of an unknown type on the connection',
    send: (wire) => wire.frame(0x16, 0, 0, '12345678'),
    expect: ignored(),
  },
  {
    section: '9113 4.1',
    name: 'a frame of an unknown type on an idle stream',
    send: (wire) => wire.frame(0xf0, 0xff, 7, '12345678'),
    expect: ignored(),
  },
  {
    section: '9113 4.1',
    name: 'a frame of an unknown type on an open stream',
    send: (wire) => {
      wire.headers(1, request('POST', '/echo'))
      wire.frame(0x16, 0, 1, '12345678')
      wire.data(1, 'body', { endStream: true })
    },
    expect: answered(1, /^body$/),
  },
  {
    section: '9113 4.1',
    name: 'flags without a meaning',
    send: (wire) => wire.ping('pingpong', 0xfe),
    expect: that('PING is answered', async (wire) => {
      await wire.until('PONG', () => wire.frames.some(({ payload }) => payload.toString() === 'pingpong'))
    }),
  },
  {
    section: '9113 4.1',
    name: 'flags without a meaning at HEADERS and DATA',
    send: (wire) => {
      wire.frame('HEADERS', END_HEADERS | 0x52, 1, encodeFields(request('POST', '/echo')))
      wire.frame('DATA', END_STREAM | 0xf6, 1, 'body')
    },
    expect: answered(1, /^body$/),
  },
  {
    section: '9113 4.1',
    name: 'the reserved bit of a stream identifier',
    send: (wire) => {
      wire.frame('PING', 0, 0x8000_0000, 'reserved')
      wire.frame('HEADERS', END_HEADERS | END_STREAM, 0x8000_0001, get)
    },
    expect: answered(1),
  },
  {
    section: '9113 4.2',
    name: 'DATA of 16,384 bytes',
    send: (wire) => {
      wire.headers(1, request('POST', '/echo'))
      wire.data(1, Buffer.alloc(16_384, 'x'), { endStream: true })
    },
    expect: answered(1, /^x{16384}$/),
  },
  {
    section: '9113 4.2',
    name: 'DATA of more than SETTINGS_MAX_FRAME_SIZE',
    send: (wire) => {
      wire.headers(1, request('POST', '/echo'))
      wire.data(1, Buffer.alloc((wire.peerSettings.get(5) ?? 16_384) + 1), { endStream: true })
    },
    expect: streamError(1, 'FRAME_SIZE_ERROR'),
  },
  {
    section: '9113 4.2',
    name: 'HEADERS of more than SETTINGS_MAX_FRAME_SIZE',
    send: (wire) => {
      const size = (wire.peerSettings.get(5) ?? 16_384) + 1
      wire.headers(1, Buffer.concat([get, literal('a', 'x'.repeat(size))]), { endStream: true })
    },
    expect: connectionError('FRAME_SIZE_ERROR'),
  },
  {
    section: '9113 4.2',
    name: 'SETTINGS of more than SETTINGS_MAX_FRAME_SIZE',
    send: (wire) => wire.settings(Array.from({ length: 2_731 }, () => [0xf0f0, 1] as const)),
    expect: connectionError('FRAME_SIZE_ERROR'),
  },
  {
    section: '9113 4.2',
    name: 'a length that announces 16 MB',
    send: (wire) => wire.raw(Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])),
    expect: connectionError('FRAME_SIZE_ERROR'),
  },
  {
    section: '9113 4.3',
    name: 'a block that cannot be decoded',
    send: (wire) => wire.headers(1, Buffer.from([0x00, 0x85, 0xff, 0xff, 0xff, 0xff, 0xff]), { endStream: true }),
    expect: connectionError('COMPRESSION_ERROR'),
  },
  {
    section: '9113 4.3',
    name: 'PRIORITY between HEADERS and CONTINUATION',
    send: (wire) => {
      wire.headers(1, get, { endStream: true, endHeaders: false })
      wire.priority(1, 0)
      wire.continuation(1, [['a', 'b']])
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 4.3',
    name: 'HEADERS of another stream between HEADERS and CONTINUATION',
    send: (wire) => {
      wire.headers(1, get, { endStream: true, endHeaders: false })
      wire.headers(3, get, { endStream: true })
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 4.3',
    name: 'a block in pieces, cut anywhere',
    send: (wire) =>
      wire.headers(1, request('GET', '/fields', [['some-name', 'in many pieces']]), {
        endStream: true,
        pieces: [1, 1, 0, 3, 5, 20],
      }),
    expect: answered(1, /some-name: in many pieces/),
  },
  {
    section: '9113 4.3',
    name: 'the block of a malformed request counts for the table',
    send: async (wire) => {
      const wrong = Buffer.concat([get, literal('after', 'the reset', 'incremental'), literal('Upper', 'case')])
      wire.headers(1, wrong, { endStream: true })
      await wire.ending(1)
      wire.headers(3, Buffer.concat([encodeFields(request('GET', '/fields')), Buffer.from([0x80 | 62])]), {
        endStream: true,
      })
    },
    expect: answered(3, /after: the reset/),
  },
  {
    section: '9113 4.3',
    name: 'the trailers of a stream that the client has reset count for the table',
    send: async (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.rst(1)
      wire.headers(3, request('POST', '/echo'))
      wire.headers(3, literal('late', 'entry', 'incremental'), { endStream: true })
      wire.headers(5, Buffer.concat([encodeFields(request('GET', '/fields')), Buffer.from([0x80 | 62])]), {
        endStream: true,
      })
    },
    expect: answered(5, /late: entry/),
  },
  {
    section: '9113 4.3.1',
    name: 'a smaller SETTINGS_HEADER_TABLE_SIZE is followed',
    options: { settings: { HEADER_TABLE_SIZE: 0 } },
    send: (wire) => {
      wire.decoder.limit = 0
      wire.get(1)
      wire.get(3)
    },
    expect: that('both are answered, without a table', async (wire) => {
      expect((await wire.response(1)).status).toBe(200)
      expect((await wire.response(3)).status).toBe(200)
    }),
  },
  {
    section: '9113 5.4.1',
    name: 'GOAWAY of an error names the last stream that was taken',
    send: async (wire) => {
      wire.get(1)
      await wire.response(1)
      wire.get(5)
      await wire.response(5)
      wire.frame('PING', 0, 0, '1234567')
    },
    expect: that('last stream 5, then the end', async (wire) => {
      await connectionError('FRAME_SIZE_ERROR').check(wire)
      expect(wire.goneAway?.last).toBe(5)
    }),
    reaches: true,
  },
  {
    section: '9113 5.4.2',
    name: 'RST_STREAM is not answered with RST_STREAM',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.rst(1)
      wire.rst(1)
    },
    expect: that('no RST_STREAM comes', async (wire) => {
      expect(await wire.alive()).toBe(true)
      expect(wire.stream(1).reset).toBeUndefined()
    }),
  },
  {
    section: '9113 5.5',
    name: 'an unknown frame in the middle of a block',
    send: (wire) => {
      wire.headers(1, get, { endStream: true, endHeaders: false })
      wire.frame(0x16, 0, 1, '')
      wire.continuation(1, [['a', 'b']])
    },
    expect: connectionError('PROTOCOL_ERROR'),
  },
  {
    section: '9113 5.5',
    name: 'unknown settings, with any value',
    send: (wire) =>
      wire.settings([
        [0xff, 0xffff_ffff],
        [0, 1],
        [0xffff, 0],
      ]),
    expect: ignored(),
  },
  {
    section: '9113 7',
    name: 'RST_STREAM with an unknown code',
    send: (wire) => {
      wire.headers(1, request('POST', '/hold'))
      wire.rst(1, 0xdead_beef)
    },
    expect: ignored(),
  },
  {
    section: '9113 7',
    name: 'GOAWAY with an unknown code, while a request is answered',
    send: (wire) => {
      wire.together(() => {
        wire.get(1)
        wire.goAway(0, 0xdead_beef)
      })
    },
    expect: that('the request is answered, or the connection ends as by any GOAWAY', async (wire) => {
      const ending = await wire.ending(1)
      expect(['message', 'goaway', 'closed', 'reset']).toContain(ending.kind)
      if (ending.kind === 'goaway') expect(ending.code).toBe('NO_ERROR')
    }),
    reaches: true,
  },
  {
    section: '9113 9.1',
    name: 'a client that says GOAWAY is still answered',
    send: (wire) => {
      wire.together(() => {
        wire.get(1)
        wire.goAway(0, 'NO_ERROR', 'some words for debugging')
      })
    },
    expect: that('the stream that was opened before is answered', async (wire) => {
      expect((await wire.response(1)).status).toBe(200)
    }),
    reaches: true,
  },
  {
    section: '9113 3.4',
    name: 'settings in the first frame hold for the first request',
    options: bare,
    send: (wire) => {
      const first = frame('SETTINGS', 0, 0, settingsPayload({ INITIAL_WINDOW_SIZE: 3 }))
      wire.raw(Buffer.concat([clientPreface, first, frame('HEADERS', END_HEADERS | END_STREAM, 1, get)]))
    },
    expect: that('three bytes come', async (wire) => {
      await wire.until('three bytes', () => wire.stream(1).received >= 3)
      expect(wire.frames.filter(({ type }) => type === frameTypes.DATA).map(({ payload }) => payload.length)).toContain(
        3,
      )
    }),
    reaches: true,
  },
  {
    section: '9113 5.2.1',
    name: 'a window that the client raises is used',
    options: { settings: { INITIAL_WINDOW_SIZE: 1_000_000 }, credit: false },
    send: (wire) => {
      wire.frame('WINDOW_UPDATE', 0, 0, words(1_000_000))
      wire.get(1, '/long')
    },
    expect: answered(1, /^x{200000}$/),
  },
]
