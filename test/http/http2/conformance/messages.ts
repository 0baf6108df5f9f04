import { expect } from 'vitest'
import type { Field } from '../../../support/hpack.ts'
import { settingNumbers } from '../../../support/http2-frames.ts'
import { type Http2Wire, request } from '../../../support/http2-wire.ts'
import { answered, type ConformanceCase, malformed, malformedOrDropped, that } from './case.ts'

function wrong(section: string, name: string, fields: readonly Field[]): ConformanceCase {
  return {
    section: `9113 ${section}`,
    name,
    send: (wire) => wire.headers(1, fields, { endStream: true }),
    expect: malformed(),
  }
}

/** A field that Node drops before anybody sees it. */
function dropped(name: string, field: Field): ConformanceCase {
  return {
    section: '9113 8.2.1',
    name,
    send: (wire) => wire.headers(1, plus(field), { endStream: true }),
    expect: malformedOrDropped(),
    limit: 'the field is dropped, and the request served without it',
  }
}

function right(section: string, name: string, fields: readonly Field[], body?: RegExp): ConformanceCase {
  return {
    section: `9113 ${section}`,
    name,
    send: (wire) => wire.headers(1, fields, { endStream: true }),
    expect: answered(1, body),
  }
}

/** A GET with these fields besides. */
function plus(...fields: Field[]): Field[] {
  return request('GET', '/fields', fields)
}

/** The four pseudo fields with changes; undefined leaves one out. */
function pseudo(changes: Record<string, string | undefined>, ...rest: Field[]): Field[] {
  const all: Record<string, string | undefined> = {
    ':method': 'GET',
    ':scheme': 'http',
    ':authority': 'a.test',
    ':path': '/fields',
    ...changes,
  }
  return [...Object.entries(all).filter((field): field is [string, string] => field[1] !== undefined), ...rest]
}

function withBody(
  section: string,
  name: string,
  fields: readonly Field[],
  send: (wire: Http2Wire) => void,
  longer = false,
): ConformanceCase {
  return {
    section: `9113 ${section}`,
    name,
    send: (wire) => {
      wire.headers(1, request('POST', '/echo', fields))
      send(wire)
    },
    expect: longer ? malformed(1, 'INTERNAL_ERROR') : malformed(),
    ...(longer ? { limit: 'Node ends the whole connection, with INTERNAL_ERROR' } : {}),
  }
}

const framing: readonly ConformanceCase[] = [
  {
    section: '9113 8.1',
    name: 'trailers',
    send: (wire) => {
      wire.headers(1, request('POST', '/echo'))
      wire.data(1, 'body')
      wire.headers(1, [['sum', '1']], { endStream: true })
    },
    expect: answered(1, /^body$/),
  },
  {
    section: '9113 8.1',
    name: 'trailers right after the head',
    send: (wire) => {
      wire.headers(1, request('POST', '/echo'))
      wire.headers(1, [['sum', '1']], { endStream: true })
    },
    expect: answered(1, /^$/),
  },
  {
    section: '9113 8.1',
    name: 'trailers in pieces',
    send: (wire) => {
      wire.headers(1, request('POST', '/echo'))
      wire.data(1, 'body')
      wire.headers(
        1,
        [
          ['sum', '1'],
          ['more', '2'],
        ],
        { endStream: true, pieces: [2, 3] },
      )
    },
    expect: answered(1, /^body$/),
  },
  withBody('8.1', 'trailers that do not end the stream', [], (wire) => {
    wire.data(1, 'body')
    wire.headers(1, [['sum', '1']])
  }),
  withBody('8.1', 'trailers with a pseudo field', [], (wire) => {
    wire.data(1, 'body')
    wire.headers(1, [[':method', 'GET']], { endStream: true })
  }),
  withBody('8.1', 'trailers with an uppercase name', [], (wire) => {
    wire.data(1, 'body')
    wire.headers(1, [['Sum', '1']], { endStream: true })
  }),
  withBody('8.1', 'trailers with a field of the connection', [], (wire) => {
    wire.data(1, 'body')
    wire.headers(1, [['transfer-encoding', 'chunked']], { endStream: true })
  }),
  withBody('8.1.1', 'a body shorter than content-length', [['content-length', '5']], (wire) =>
    wire.data(1, 'four', { endStream: true }),
  ),
  withBody(
    '8.1.1',
    'a body longer than content-length',
    [['content-length', '3']],
    (wire) => wire.data(1, 'four', { endStream: true }),
    true,
  ),
  withBody(
    '8.1.1',
    'a body in pieces, longer than content-length',
    [['content-length', '5']],
    (wire) => {
      wire.data(1, 'four')
      wire.data(1, 'four', { endStream: true })
    },
    true,
  ),
  withBody('8.1.1', 'a body in pieces, shorter than content-length', [['content-length', '9']], (wire) => {
    wire.data(1, 'four')
    wire.data(1, 'four', { endStream: true })
  }),
  withBody('8.1.1', 'trailers before the end that content-length says', [['content-length', '9']], (wire) => {
    wire.data(1, 'four')
    wire.headers(1, [['sum', '1']], { endStream: true })
  }),
  wrong('8.1.1', 'content-length, and no body', request('POST', '/echo', [['content-length', '4']])),
  withBody(
    '8.1.1',
    'two content-lengths that differ',
    [
      ['content-length', '4'],
      ['content-length', '5'],
    ],
    (wire) => wire.data(1, 'four', { endStream: true }),
  ),
  withBody('8.1.1', 'a content-length that is no number', [['content-length', '+4']], (wire) =>
    wire.data(1, 'four', { endStream: true }),
  ),
  {
    section: '9113 8.1.1',
    name: 'a body as long as content-length, in pieces with padding',
    send: (wire) => {
      wire.headers(1, request('POST', '/echo', [['content-length', '8']]))
      wire.data(1, 'four', { padding: 9 })
      wire.data(1, 'four', { endStream: true })
    },
    expect: answered(1, /^fourfour$/),
  },
  {
    section: '9113 8.1',
    name: 'HEAD is answered without DATA',
    send: (wire) => wire.headers(1, request('HEAD', '/'), { endStream: true }),
    expect: answered(1, /^$/),
  },
]

const characters: readonly ConformanceCase[] = [
  wrong('8.2', 'an uppercase name', plus(['Upper', 'case'])),
  ...(
    [
      ['a space', ' '],
      ['a tab', '\t'],
      ['NUL', '\0'],
      ['CR', '\r'],
      ['LF', '\n'],
      ['a colon', ':'],
      ['DEL', '\x7f'],
      ['a byte of 0x80', '\x80'],
      ['a byte of 0xff', '\xff'],
    ] as const
  ).map(([what, character]) => dropped(`${what} in a name`, [`na${character}me`, 'value'])),
  dropped('an empty name', ['', 'value']),
  dropped('a separator in a name', ['na(me', 'value']),
  dropped('NUL in a value', ['name', 'va\0lue']),
  dropped('CR in a value', ['name', 'va\rlue']),
  dropped('LF in a value', ['name', 'va\nlue']),
  dropped('CR LF at the end of a value', ['name', 'value\r\n']),
  dropped('a space before a value', ['name', ' value']),
  dropped('a space after a value', ['name', 'value ']),
  dropped('a tab before a value', ['name', '\tvalue']),
  dropped('a tab after a value', ['name', 'value\t']),
  right('8.2.1', 'spaces and tabs in the middle of a value', plus(['name', 'v a\tl']), /name: v a\tl/),
  right('8.2.1', 'an empty value', plus(['name', '']), /name: \n/),
  right('8.2.1', 'bytes above 0x7f in a value', plus(['name', 'caf\xe9']), /name: caf[\x80-\xff]\n/),
  right('8.2.1', 'every character that a name may have', plus(["!#$%&'*+-.^_`|~09az", 'x']), /~09az: x/),
]

const connectionFields: readonly ConformanceCase[] = [
  wrong('8.2.2', 'connection', plus(['connection', 'close'])),
  wrong('8.2.2', 'connection: keep-alive', plus(['connection', 'keep-alive'])),
  wrong('8.2.2', 'keep-alive', plus(['keep-alive', 'timeout=5'])),
  wrong('8.2.2', 'proxy-connection', plus(['proxy-connection', 'keep-alive'])),
  wrong('8.2.2', 'transfer-encoding', plus(['transfer-encoding', 'chunked'])),
  wrong('8.2.2', 'upgrade', plus(['upgrade', 'h2c'])),
  wrong('8.2.2', 'te of other than trailers', plus(['te', 'trailers, deflate;q=0.5'])),
  right('8.2.2', 'te: trailers', plus(['te', 'trailers'])),
  right(
    '8.2.3',
    'crumbs of cookies are one field',
    plus(['cookie', 'a=b'], ['cookie', 'c=d'], ['x', 'y'], ['cookie', 'e=f']),
    /cookie: a=b; c=d; e=f\n/,
  ),
]

const pseudoFields: readonly ConformanceCase[] = [
  wrong('8.3', 'an unknown pseudo field', [...request(), [':test', 'x']]),
  wrong('8.3', 'a pseudo field of responses', [...request(), [':status', '200']]),
  wrong('8.3', 'a pseudo field after another', [...pseudo({ ':path': undefined }), ['a', 'b'], [':path', '/']]),
  wrong('8.3', 'a pseudo field without a name', [...request(), [':', 'x']]),
  ...[':method', ':scheme', ':path', ':authority'].map((name) =>
    wrong('8.3', `${name} twice`, [...request(), request().find((field) => field[0] === name) as Field]),
  ),
  wrong('8.3.1', ':method is missing', pseudo({ ':method': undefined })),
  wrong('8.3.1', ':scheme is missing', pseudo({ ':scheme': undefined })),
  wrong('8.3.1', ':path is missing', pseudo({ ':path': undefined })),
  wrong('8.3.1', ':path is empty', pseudo({ ':path': '' })),
  wrong('8.3.1', ':method is empty', pseudo({ ':method': '' })),
  wrong('8.3.1', ':path without its slash', pseudo({ ':path': 'fields' })),
  wrong('8.3.1', ':path of * without OPTIONS', pseudo({ ':path': '*' })),
  wrong('8.3.1', 'a space in :path', pseudo({ ':path': '/a b' })),
  wrong('8.3.1', 'a space in :method', pseudo({ ':method': 'GET /x' })),
  wrong('8.3.1', 'userinfo in :authority', pseudo({ ':authority': 'user@a.test' })),
  wrong('8.3.1', 'a space in :authority', pseudo({ ':authority': 'a test' })),
  wrong('8.3.1', 'an empty :authority', pseudo({ ':authority': '' })),
  wrong('8.3.1', 'no authority at all', pseudo({ ':authority': undefined })),
  wrong('8.3.1', 'Host that is not :authority', pseudo({}, ['host', 'b.test'])),
  wrong('8.3.1', 'Host twice', pseudo({ ':authority': undefined }, ['host', 'a.test'], ['host', 'b.test'])),
  right('8.3.1', 'Host that is :authority', pseudo({}, ['host', 'a.test'])),
  right('8.3.1', 'Host in place of :authority', pseudo({ ':authority': undefined }, ['host', 'a.test'])),
  right('8.3.1', 'OPTIONS of *', pseudo({ ':method': 'OPTIONS', ':path': '*' })),
  right('8.3.1', 'the order of pseudo fields is free', request().reverse()),
  wrong('8.5', 'CONNECT with :scheme and :path', pseudo({ ':method': 'CONNECT', ':authority': 'a.test:80' })),
  wrong('8.5', 'CONNECT without :authority', [[':method', 'CONNECT']]),
  {
    section: '8441 4',
    name: ':protocol, unless SETTINGS_ENABLE_CONNECT_PROTOCOL was announced',
    send: (wire) => {
      const fields: Field[] = [...pseudo({ ':method': 'CONNECT' }), [':protocol', 'websocket']]
      if (wire.peerSettings.get(settingNumbers.ENABLE_CONNECT_PROTOCOL) === 1) wire.get(1)
      else wire.headers(1, fields, { endStream: true })
    },
    expect: that('malformed', async (wire) => {
      if (wire.peerSettings.get(settingNumbers.ENABLE_CONNECT_PROTOCOL) === 1) await wire.response(1)
      else await malformed().check(wire)
    }),
    reaches: true,
  },
  {
    ...wrong('', ':protocol with another method than CONNECT', [...request(), [':protocol', 'websocket']]),
    section: '8441 4',
  },
]

const answers: readonly ConformanceCase[] = [
  {
    section: '9113 8.3.2',
    name: 'an answer has :status first, and lowercase names without fields of the connection',
    send: (wire) => wire.get(1),
    expect: that('it is so', async (wire) => {
      const { head = [] } = await wire.response(1)
      expect(head[0]).toEqual([':status', '200'])
      for (const [name] of head.slice(1)) expect(name).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+$/)
      const names = head.map(([name]) => name)
      for (const name of ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection'])
        expect(names).not.toContain(name)
    }),
    reaches: true,
  },
  {
    section: '9113 8.4',
    name: 'nothing is pushed to who does not want it',
    options: { settings: { ENABLE_PUSH: 0 } },
    send: (wire) => wire.get(1),
    expect: that('no PUSH_PROMISE', async (wire) => {
      expect((await wire.response(1)).status).toBe(200)
      expect(wire.frames.some(({ type }) => type === 5)).toBe(false)
    }),
    reaches: true,
  },
]

/** RFC 9113 8 and RFC 8441: what makes a message. */
export const messageCases: readonly ConformanceCase[] = [
  ...framing,
  ...characters,
  ...connectionFields,
  ...pseudoFields,
  ...answers,
]
