import { defaultHeadLimits } from '../../../src/http/http1/head-reader.ts'
import type { RequestRead, ResponseRead } from '../http1/support.ts'

/** Requests that are unusual but valid, with what they mean. */
export interface UnusualRequest {
  readonly name: string
  readonly bytes: Buffer
  /** One for each request in the bytes. */
  readonly means: readonly Partial<RequestRead>[]
}

/** Responses that are unusual but valid, with what they mean. */
export interface UnusualResponse {
  readonly name: string
  readonly bytes: Buffer
  /** The methods that they answer; GET for each that is not said. */
  readonly methods: readonly string[]
  readonly means: readonly Partial<ResponseRead>[]
}

function head(lines: readonly string[], rest = ''): string {
  return `${lines.join('\r\n')}\r\n\r\n${rest}`
}

function get(...fields: string[]): string {
  return head(['GET /x HTTP/1.1', 'Host: a.test', ...fields])
}

function start(line: string, authority = 'a.test'): string {
  return head([line, `Host: ${authority}`])
}

function post(fields: readonly string[], body = ''): string {
  return head(['POST /x HTTP/1.1', 'Host: a.test', ...fields], body)
}

function chunks(body: string): string {
  return post(['Transfer-Encoding: chunked'], body)
}

const second = start('GET /second HTTP/1.1')
const allTokens = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
const { headBytes, targetBytes, fields: mostFields } = defaultHeadLimits

const requests: Readonly<Record<string, readonly [text: string, ...means: Partial<RequestRead>[]]>> = {
  'the shortest request': [start('GET / HTTP/1.1', ''), { method: 'GET', target: '/', authority: '', length: 0 }],
  'an empty line before it': [`\r\n${get()}`, { target: '/x' }],
  'two empty lines before it': [`\r\n\r\n${get()}`, { target: '/x' }],
  'an empty line between requests': [`${get()}\r\n${second}`, { target: '/x' }, { target: '/second' }],
  'a method that nobody knows': [start('BREW /pot HTTP/1.1'), { method: 'BREW' }],
  'a method in lower case': [start('get /x HTTP/1.1'), { method: 'get' }],
  'a method of odd characters': [start("!#$%&'*+-.^_`|~ /x HTTP/1.1"), { method: "!#$%&'*+-.^_`|~" }],
  'the longest method': [start(`${'M'.repeat(32)} /x HTTP/1.1`), { method: 'M'.repeat(32) }],
  'a name of every character that it can have': [
    get(`${allTokens}: a`),
    {
      fields: [
        ['Host', 'a.test'],
        [allTokens, 'a'],
      ],
    },
  ],
  'values with blanks around and within': [
    get('A:b', 'C:  d\te  ', 'F:\t g\t', 'H:', 'I: \t '),
    {
      fields: [
        ['Host', 'a.test'],
        ['A', 'b'],
        ['C', 'd\te'],
        ['F', 'g'],
        ['H', ''],
        ['I', ''],
      ],
    },
  ],
  'values of 8 bits': [
    get('A: \xe4\xf6\xfc', 'B: \x80\xff'),
    {
      fields: [
        ['Host', 'a.test'],
        ['A', '\xe4\xf6\xfc'],
        ['B', '\x80\xff'],
      ],
    },
  ],
  'a value with a no-break space around': [
    get('A: \xa0b\xa0'),
    {
      fields: [
        ['Host', 'a.test'],
        ['A', '\xa0b\xa0'],
      ],
    },
  ],
  'fields that come twice': [
    get('A: b', 'a: c', 'A: b'),
    {
      fields: [
        ['Host', 'a.test'],
        ['A', 'b'],
        ['a', 'c'],
        ['A', 'b'],
      ],
    },
  ],
  'colons in a value': [
    get('A::b: c'),
    {
      fields: [
        ['Host', 'a.test'],
        ['A', ':b: c'],
      ],
    },
  ],
  'a field whose name is like another': [
    post(['Content_Length: 7', 'Transfer_Encoding: chunked', 'Content-Length: 5'], 'hello'),
    {
      length: 5,
      body: 'hello',
    },
  ],
  'a Host at the end': [head(['GET /x HTTP/1.1', 'A: b', 'hOST: a.test']), { authority: 'a.test' }],
  'a Host with a port': [start('GET /x HTTP/1.1', 'A.test:8080'), { authority: 'A.test:8080' }],
  'a Host that is an IPv4 address': [start('GET /x HTTP/1.1', '127.0.0.1:80'), { authority: '127.0.0.1:80' }],
  'a Host that is an IPv6 address': [start('GET /x HTTP/1.1', '[2001:db8::1]'), { authority: '[2001:db8::1]' }],
  'a Host that is an IPv6 address with a port': [start('GET /x HTTP/1.1', '[::1]:65535'), { authority: '[::1]:65535' }],
  'a Host that is an IPv4 address in IPv6': [
    start('GET /x HTTP/1.1', '[::ffff:192.0.2.1]'),
    {
      authority: '[::ffff:192.0.2.1]',
    },
  ],
  'a Host with an underscore': [start('GET /x HTTP/1.1', 'my_app.test'), { authority: 'my_app.test' }],
  'a Host with a dot behind': [start('GET /x HTTP/1.1', 'a.test.'), { authority: 'a.test.' }],
  'a Host with an escape': [start('GET /x HTTP/1.1', 'a%2Etest'), { authority: 'a%2Etest' }],
  'an empty Host': [start('GET /x HTTP/1.1', ''), { authority: '' }],
  'HTTP/1.0 without a Host': [head(['GET /x HTTP/1.0']), { version: '1.0', authority: '', keepAlive: false }],
  'HTTP/1.0 that is kept alive': [
    head(['GET /x HTTP/1.0', 'Connection: Keep-Alive']) + second,
    { version: '1.0', keepAlive: true },
    { target: '/second' },
  ],
  'HTTP/1.0 with a length': [
    head(['POST /x HTTP/1.0', 'Content-Length: 5'], 'hello'),
    { body: 'hello', keepAlive: false },
  ],
  'HTTP/1.0 that would be upgraded': [
    head(['GET /x HTTP/1.0', 'Connection: upgrade, keep-alive', 'Upgrade: websocket']),
    {
      upgrade: undefined,
      keepAlive: true,
    },
  ],
  'HTTP/1.0 that expects a 100': [
    head(['POST /x HTTP/1.0', 'Expect: 100-continue', 'Content-Length: 5'], 'hello'),
    {
      expectsContinue: false,
    },
  ],
  'an absolute target': [start('GET http://a.test/x?y HTTP/1.1'), { target: '/x?y', authority: 'a.test' }],
  'an absolute target without a path': [start('GET http://a.test HTTP/1.1'), { target: '/', authority: 'a.test' }],
  'an absolute target with a query only': [start('GET http://a.test?y HTTP/1.1'), { target: '/?y' }],
  'an absolute target in another case': [start('GET HTTP://A.TEST/X HTTP/1.1'), { target: '/X', authority: 'A.TEST' }],
  'an absolute target of https': [start('GET https://a.test/x HTTP/1.1'), { target: '/x' }],
  'an absolute target in HTTP/1.0 without a Host': [
    head(['GET http://b.test:81/x HTTP/1.0']),
    {
      target: '/x',
      authority: 'b.test:81',
    },
  ],
  'a question about the server': [start('OPTIONS * HTTP/1.1'), { method: 'OPTIONS', target: '*' }],
  'an absolute question about the server': [
    start('OPTIONS http://a.test HTTP/1.1'),
    { target: '*', authority: 'a.test' },
  ],
  'a question about the root': [start('OPTIONS http://a.test/ HTTP/1.1'), { target: '/' }],
  'a CONNECT': [
    start('CONNECT b.test:443 HTTP/1.1', 'b.test:443'),
    {
      method: 'CONNECT',
      target: 'b.test:443',
      authority: 'b.test:443',
    },
  ],
  'a CONNECT whose Host has no port': [start('CONNECT B.test:443 HTTP/1.1', 'b.TEST'), { authority: 'B.test:443' }],
  'a CONNECT in HTTP/1.0': [head(['CONNECT [::1]:443 HTTP/1.0']), { authority: '[::1]:443' }],
  'a target of every character that it can have': [
    start("GET /!$%&'()*+,-./:;=@[]^_`{|}~?!$%&'()*+,-./:;=@[]^_`{|}~?\\ HTTP/1.1"),
    {
      target: "/!$%&'()*+,-./:;=@[]^_`{|}~?!$%&'()*+,-./:;=@[]^_`{|}~?\\",
    },
  ],
  'a target with two slashes': [start('GET //b.test/../x HTTP/1.1'), { target: '//b.test/../x', authority: 'a.test' }],
  'a target with escapes': [start('GET /%00/%2e%2e/%zz/% HTTP/1.1'), { target: '/%00/%2e%2e/%zz/%' }],
  'a target with a URL within': [
    start('GET /http://b.test/?u=http://c.test/ HTTP/1.1'),
    {
      target: '/http://b.test/?u=http://c.test/',
    },
  ],
  'the longest target': [
    start(`GET /${'x'.repeat(targetBytes - 1)} HTTP/1.1`),
    { target: `/${'x'.repeat(targetBytes - 1)}` },
  ],
  'the longest head': [get(`A: ${'b'.repeat(headBytes - get('A: ').length)}`), { target: '/x' }],
  'the most fields': [get(...Array.from({ length: mostFields - 1 }, () => 'A: b')), { target: '/x' }],
  'a length of nothing, and a request behind it': [
    post(['Content-Length: 0']) + second,
    { length: 0 },
    { target: '/second' },
  ],
  'a length that begins with zeros': [
    post(['Content-Length: 000005'], `hello${second}`),
    { body: 'hello' },
    { target: '/second' },
  ],
  'a length with blanks around': [post(['Content-Length:  5  '], 'hello'), { body: 'hello' }],
  'the largest length': [post(['Content-Length: 999999999999999']), ...[]],
  'a request as the body of another': [post([`Content-Length: ${second.length}`], second), { body: second }],
  'a request as the body of a GET': [get(`Content-Length: ${second.length}`) + second, { body: second }],
  'a DELETE with a body in chunks': [
    head(['DELETE /x HTTP/1.1', 'Host: a.test', 'Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n') + second,
    { body: 'hello' },
    { target: '/second' },
  ],
  'a transfer coding in another case': [post(['transfer-ENCODING:CHUNKED'], '0\r\n\r\n'), { length: -1, body: '' }],
  'a transfer coding with blanks around': [post(['Transfer-Encoding:  chunked  '], '0\r\n\r\n'), { length: -1 }],
  'sizes of chunks in either case': [
    chunks(`A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n`),
    { body: '01234567890123456789a' },
  ],
  'sizes of chunks that begin with zeros': [chunks('0005\r\nhello\r\n000\r\n\r\n'), { body: 'hello' }],
  'chunks of one byte': [chunks('1\r\na\r\n1\r\nb\r\n0\r\n\r\n'), { body: 'ab' }],
  'line ends in chunks': [chunks('4\r\n\r\n\r\n\r\n2\r\n0\r\r\n0\r\n\r\n'), { body: '\r\n\r\n0\r' }],
  'chunk extensions': [chunks('5;a;b=c;d="e \\" ;\\\\ f"\r\nhello\r\n0;last\r\n\r\n'), { body: 'hello' }],
  'a chunk extension with an empty string': [chunks('5;a=""\r\nhello\r\n0\r\n\r\n'), { body: 'hello' }],
  trailers: [
    chunks('5\r\nhello\r\n0\r\nDigest: abc\r\nx-a:\r\nX-A:  b \r\n\r\n') + second,
    {
      body: 'hello',
      trailers: [
        ['Digest', 'abc'],
        ['x-a', ''],
        ['X-A', 'b'],
      ],
    },
    { target: '/second' },
  ],
  'a close among others': [get('Connection: A, Close ,b') + second, { keepAlive: false }],
  'a close on another line': [get('Connection: keep-alive', 'Connection: close'), { keepAlive: false }],
  'a close and a keep-alive': [get('Connection: close, keep-alive'), { keepAlive: false }],
  'a close with a no-break space': [get('Connection: \xa0close') + second, { keepAlive: true }, { target: '/second' }],
  'a Connection that says nothing': [get('Connection:') + second, { keepAlive: true }, { target: '/second' }],
  'an upgrade': [get('Upgrade: websocket', 'connection: Upgrade'), { upgrade: 'websocket', keepAlive: true }],
  'an upgrade with a body, which is none': [
    post(['Connection: upgrade', 'Upgrade: h2c', 'Content-Length: 5'], `hello${second}`),
    { upgrade: undefined, body: 'hello' },
    { target: '/second' },
  ],
  'an upgrade among others': [
    get('Connection: keep-alive, UPGRADE', 'Upgrade: a, b', 'Upgrade: c/2'),
    { upgrade: 'a, b, c/2' },
  ],
  'an Upgrade that Connection does not name': [
    get('Upgrade: websocket') + second,
    { upgrade: undefined },
    { target: '/second' },
  ],
  'a Connection that names an Upgrade that is not there': [
    get('Connection: upgrade') + second,
    { upgrade: undefined },
    { target: '/second' },
  ],
  'an expectation': [
    post(['Expect: 100-Continue', 'Content-Length: 5'], 'hello'),
    { expectsContinue: true, body: 'hello' },
  ],
  'many requests at once': [
    `${get()}${second}${post(['Content-Length: 5'], 'hello')}${chunks('1\r\na\r\n0\r\n\r\n')}${get('Connection: close')}`,
    { target: '/x' },
    { target: '/second' },
    { body: 'hello' },
    { body: 'a' },
    { keepAlive: false },
  ],
}

function response(fields: readonly string[], body = '', line = 'HTTP/1.1 200 OK'): string {
  return head([line, ...fields], body)
}

const next = response(['Content-Length: 4'], 'next')

type ResponseCase = readonly [text: string, methods: readonly string[], ...means: Partial<ResponseRead>[]]
const responses: Readonly<Record<string, ResponseCase>> = {
  'the shortest response': [
    head(['HTTP/1.1 200']),
    [],
    { status: 200, reason: '', length: -2, keepAlive: false, body: '' },
  ],
  'no reason': [head(['HTTP/1.1 200 ', 'Content-Length: 0']), [], { reason: '', length: 0, keepAlive: true }],
  'a reason of blanks': [head(['HTTP/1.1 200   ', 'Content-Length: 0']), [], { reason: '  ' }],
  'a reason of 8 bits and tabs': [head(['HTTP/1.1 404 n\xe4\tda', 'Content-Length: 0']), [], { reason: 'n\xe4\tda' }],
  'a long reason': [
    head([`HTTP/1.1 200 ${'x'.repeat(12_000)}`, 'Content-Length: 0']),
    [],
    { reason: 'x'.repeat(12_000) },
  ],
  'a status that nobody knows': [response(['Content-Length: 0'], '', 'HTTP/1.1 799 Odd'), [], { status: 799 }],
  'a body until the end': [response([], 'hello'), [], { length: -2, body: 'hello', keepAlive: false }],
  'a body until the end that looks like a response': [response([], next), [], { body: next }],
  'a body until the end of HTTP/1.0': [response([], 'hello', 'HTTP/1.0 200 OK'), [], { version: '1.0', body: 'hello' }],
  'HTTP/1.0 with a length': [
    response(['Content-Length: 5'], 'hello', 'HTTP/1.0 200 OK'),
    [],
    { body: 'hello', keepAlive: false },
  ],
  'HTTP/1.0 that is kept alive': [
    response(['Content-Length: 5', 'Connection: keep-alive'], 'hello', 'HTTP/1.0 200 OK') + next,
    [],
    { keepAlive: true },
    { body: 'next' },
  ],
  'a length': [response(['content-length:5'], 'hello') + next, [], { body: 'hello' }, { body: 'next' }],
  chunks: [
    response(['Transfer-Encoding: Chunked'], '5\r\nhello\r\n0\r\n\r\n') + next,
    [],
    { body: 'hello' },
    { body: 'next' },
  ],
  'chunks with extensions and trailers': [
    response(['Transfer-Encoding: chunked'], '5;a="b"\r\nhello\r\n0\r\nServer-Timing: a;dur=1\r\n\r\n') + next,
    [],
    { body: 'hello', trailers: [['Server-Timing', 'a;dur=1']] },
    { body: 'next' },
  ],
  'no length and a close': [response(['Connection: close'], 'hello'), [], { body: 'hello', keepAlive: false }],
  'an interim response': [
    response(['Link: </a.css>; rel=preload'], '', 'HTTP/1.1 103 Early Hints') + next,
    [],
    { status: 103, length: 0, fields: [['Link', '</a.css>; rel=preload']] },
    { body: 'next' },
  ],
  'many interim responses': [
    `${head(['HTTP/1.1 100 Continue'])}${head(['HTTP/1.1 102 Processing'])}${head(['HTTP/1.1 103 Hints'])}${next}`,
    [],
    { status: 100 },
    { status: 102 },
    { status: 103 },
    { status: 200, body: 'next' },
  ],
  'an interim response with a length of nothing': [
    response(['Content-Length: 0'], '', 'HTTP/1.1 100 Continue') + next,
    [],
    { status: 100, length: 0 },
    { body: 'next' },
  ],
  'an upgrade': [
    response(['Upgrade: websocket', 'Connection: Upgrade'], '\x81\x05hello', 'HTTP/1.1 101 Switching Protocols'),
    [],
    { status: 101, upgrade: 'websocket', length: 0, body: '' },
  ],
  'responses to HEAD': [
    response(['Content-Length: 5']) + response(['Transfer-Encoding: chunked']) + response([]) + next,
    ['HEAD', 'HEAD', 'HEAD', 'GET'],
    { length: 0, keepAlive: true },
    { length: 0, keepAlive: true },
    { length: 0, keepAlive: true },
    { body: 'next' },
  ],
  'an interim response to HEAD': [
    head(['HTTP/1.1 103 Hints']) + response(['Content-Length: 5']) + next,
    ['HEAD', 'GET'],
    { status: 103 },
    { status: 200, length: 0 },
    { body: 'next' },
  ],
  'a 204': [
    head(['HTTP/1.1 204 No Content']) + next,
    [],
    { status: 204, length: 0, keepAlive: true },
    { body: 'next' },
  ],
  'a 204 with a length of nothing': [
    response(['Content-Length: 0'], '', 'HTTP/1.1 204 No Content') + next,
    [],
    { length: 0, keepAlive: true },
    { body: 'next' },
  ],
  'a 204 that says that it has a body': [
    response(['Content-Length: 5'], 'hello', 'HTTP/1.1 204 No Content'),
    [],
    { length: 0, body: '', keepAlive: false },
  ],
  'a 204 that says that it is in chunks': [
    response(['Transfer-Encoding: chunked'], '0\r\n\r\n', 'HTTP/1.1 204 No Content'),
    [],
    { length: 0, body: '', keepAlive: false },
  ],
  'a 304 with a length': [
    response(['Content-Length: 5'], '', 'HTTP/1.1 304 Not Modified') + next,
    [],
    { status: 304, length: 0, keepAlive: true },
    { body: 'next' },
  ],
  'a 304 in chunks': [
    response(['Transfer-Encoding: chunked'], '', 'HTTP/1.1 304 Not Modified') + next,
    [],
    { length: 0, keepAlive: true },
    { body: 'next' },
  ],
  'a 205 with a body': [
    response(['Content-Length: 2'], 'ab', 'HTTP/1.1 205 Reset') + next,
    [],
    { body: 'ab' },
    { body: 'next' },
  ],
  'a Host in a response': [response(['Host: a b', 'Host: c', 'Content-Length: 0']), [], { status: 200 }],
  cookies: [
    response(['Set-Cookie: a=b', 'Set-Cookie: c=d', 'Content-Length: 0']),
    [],
    {
      fields: [
        ['Set-Cookie', 'a=b'],
        ['Set-Cookie', 'c=d'],
        ['Content-Length', '0'],
      ],
    },
  ],
}

/** Requests that are unusual but valid, with what they mean. */
export const unusualRequests: readonly UnusualRequest[] = Object.entries(requests).map(([name, [text, ...means]]) => ({
  name,
  bytes: Buffer.from(text, 'latin1'),
  means,
}))

/** Responses that are unusual but valid, with what they mean. */
export const unusualResponses: readonly UnusualResponse[] = Object.entries(responses).map(
  ([name, [text, methods, ...means]]) => ({ name, bytes: Buffer.from(text, 'latin1'), methods, means }),
)
