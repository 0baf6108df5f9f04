import { defaultHeadLimits } from '../../../src/http/http1/head-reader.ts'

/** Bytes of an upstream that are refused: its client is told 502, or is cut off if its answer had begun. */
export interface MalformedResponse {
  readonly name: string
  /** All that the upstream sends. */
  readonly bytes: Buffer
  /** What the client is told, unless the fault is in the body. */
  readonly status: 502
  readonly why: string
  /** The method that it answers. */
  readonly method: 'GET' | 'HEAD'
  /** Where the fault lies. If it is the body, the head was good, and the client has it already. */
  readonly where: 'head' | 'body'
}

const cases: MalformedResponse[] = []

function add(
  why: string,
  named: Readonly<Record<string, string>>,
  more: { where?: 'head' | 'body'; method?: 'GET' | 'HEAD' } = {},
): void {
  for (const [name, text] of Object.entries(named)) {
    const { where = 'head', method = 'GET' } = more
    cases.push({ name, bytes: Buffer.from(text, 'latin1'), status: 502, why, method, where })
  }
}

function response(fields: readonly string[], body = '', start = 'HTTP/1.1 200 OK'): string {
  return `${[start, ...fields].join('\r\n')}\r\n\r\n${body}`
}

function chunks(body: string): string {
  return response(['Transfer-Encoding: chunked'], body)
}

const noChunks = '0\r\n\r\n'
const hidden = response(['Content-Length: 6'], 'hidden')

add('One reader takes the length, the next one the chunks; what is left answers somebody else.', {
  'a length and a transfer coding': response(['Content-Length: 5', 'Transfer-Encoding: chunked'], noChunks + hidden),
  'a transfer coding and a length': response(['Transfer-Encoding: chunked', 'Content-Length: 5'], noChunks),
  'a transfer coding and a length of nothing': response(['transfer-encoding: chunked', 'content-length: 0'], noChunks),
  'an unknown transfer coding and a length': response(['Transfer-Encoding: cow', 'Content-Length: 5'], 'hello'),
  'a length and a transfer coding for HEAD': response(['Content-Length: 5', 'Transfer-Encoding: chunked']),
  'two lengths': response(['Content-Length: 5', 'Content-Length: 6'], 'hello!'),
  'two lengths that are the same': response(['Content-Length: 5', 'content-length: 5'], 'hello'),
  'a list of lengths': response(['Content-Length: 5, 5'], 'hello'),
  'two transfer codings': response(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], noChunks),
  'two transfer codings, one unknown': response(['Transfer-Encoding: chunked', 'Transfer-Encoding: cow'], noChunks),
  'a transfer coding in HTTP/1.0': response(['Transfer-Encoding: chunked'], noChunks, 'HTTP/1.0 200 OK'),
})
for (const [name, value] of Object.entries({
  'that is empty': '',
  'with a plus': '+5',
  'with a minus': '-5',
  'in hexadecimal': '0x5',
  'with an exponent': '5e0',
  'with a fraction': '5.0',
  'with a blank within': '5 5',
  'in quotes': '"5"',
  'in words': 'five',
  'with a comma': '5,',
  'with an underscore': '1_0',
  'beyond 64 bits': '18446744073709551621',
  'with a no-break space': '5\xa0',
  'with a control character': '5\v',
})) {
  add('Parsers of numbers differ in what they take, and where they stop.', {
    [`a length ${name}`]: response([`Content-Length: ${value}`], 'hello'),
  })
}
for (const [name, value] of Object.entries({
  'that is unknown': 'xchunked',
  'that is empty': '',
  'that is identity': 'identity',
  'that is gzip': 'gzip',
  'twice in a list': 'chunked, chunked',
  'before another': 'chunked, identity',
  'after another': 'gzip, chunked',
  'with a comma': 'chunked,',
  'with a parameter': 'chunked;q=1',
  'with a control character': '\vchunked',
  'with a no-break space': 'chunked\xa0',
})) {
  add('A reader that does not know the coding looks for the end of the body elsewhere.', {
    [`a transfer coding ${name}`]: response([`Transfer-Encoding: ${value}`], noChunks),
  })
}
add('One reader sees the field and another does not.', {
  'a transfer coding with a space before the colon': response(['Transfer-Encoding : chunked'], noChunks),
  'a transfer coding on a folded line': response(['A: b', ' Transfer-Encoding: chunked'], noChunks),
  'a length with a tab before the colon': response(['Content-Length\t: 5'], 'hello'),
  'a length that goes on on a folded line': response(['Content-Length: 5', ' 5'], 'hello'),
  'a length behind a bare LF': response(['A: b\nContent-Length: 5'], 'hello'),
  'a length behind a bare CR': response(['A: b\rContent-Length: 5'], 'hello'),
})

const plain = 'HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 5\r\n\r\nhello'
for (const [index, name] of ['status line', 'first field', 'last field', 'head'].entries()) {
  const at = [...plain.matchAll(/\r\n/g)][index]?.index as number
  add('Some take a bare LF or a bare CR for the end of a line; to others the line goes on.', {
    [`a bare LF at the end of the ${name}`]: `${plain.slice(0, at)}\n${plain.slice(at + 2)}`,
    [`a bare CR at the end of the ${name}`]: `${plain.slice(0, at)}\r${plain.slice(at + 2)}`,
    [`two CRs at the end of the ${name}`]: `${plain.slice(0, at)}\r\r\n${plain.slice(at + 2)}`,
  })
}
for (const [byte, code] of Object.entries({ CR: 0x0d, LF: 0x0a, NUL: 0, DEL: 0x7f, VT: 0x0b })) {
  for (const [spot, at] of Object.entries({
    'before the version': 0,
    'in the version': 6,
    'before the status': 9,
    'in the status': 10,
    'behind the status': 12,
    'in the reason': 14,
    'in a name': 19,
    'before a colon': 23,
    'in a value': 25,
  })) {
    add('Control characters end lines, words or strings for some readers.', {
      [`a ${byte} ${spot}`]: plain.slice(0, at) + String.fromCharCode(code) + plain.slice(at),
    })
  }
}

for (const start of [
  'HTTP/1.1',
  'HTTP/1.1 ',
  'HTTP/1.1 2',
  'HTTP/1.1 20',
  'HTTP/1.1 2000 OK',
  'HTTP/1.1 0200 OK',
  'HTTP/1.1 099 OK',
  'HTTP/1.1 000 OK',
  'HTTP/1.1 -20 OK',
  'HTTP/1.1 +20 OK',
  'HTTP/1.1 2x0 OK',
  'HTTP/1.1 200OK',
  'HTTP/1.1  200 OK',
  'HTTP/1.1\t200 OK',
  'HTTP/1.1 200\tOK',
  'HTTP/1.1 OK',
  'HTTP/2 200',
  'HTTP/2.0 200 OK',
  'HTTP/0.9 200 OK',
  'HTTP/1.2 200 OK',
  'HTTP/1 200 OK',
  'HTTP/11 200 OK',
  'http/1.1 200 OK',
  'ICY 200 OK',
  'RTSP/1.0 200 OK',
  ' HTTP/1.1 200 OK',
  '200 OK',
  'GET / HTTP/1.1',
]) {
  add('What is no status line is no response (RFC 9112, 4).', {
    [`the status line ${JSON.stringify(start)}`]: response(['Content-Length: 5'], 'hello', start),
  })
}
add('What is no status line is no response (RFC 9112, 4).', {
  'something else': 'TEST\r\n\r\n',
  'a page without a head': '<!doctype html>\r\n<title>Hello</title>\r\n\r\n',
  'an empty line before the status line': `\r\n${hidden}`,
  'empty lines only': '\r\n\r\n\r\n',
  'a greeting of TLS': '\x15\x03\x01\x00\x02\x02\x46\r\n\r\n',
  'a greeting of SSH': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
  'a greeting of SMTP': '220 a.test ESMTP\r\n\r\n',
  'a frame of HTTP/2': '\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80',
})

for (const char of '"(),/;<=>?@[\\]{}\x80\xff') {
  add('A name is a token (RFC 9110, 5.6.2).', {
    [`a name with ${JSON.stringify(char)}`]: response([`A${char}B: c`, 'Content-Length: 0']),
  })
}
add('A line that is no field is skipped by some, and joined to the line before by others.', {
  'a name with a space within': response(['A B: c', 'Content-Length: 0']),
  'a space before the colon': response(['A : b', 'Content-Length: 0']),
  'a line without a colon': response(['abc', 'Content-Length: 0']),
  'a line that begins with a colon': response([': b', 'Content-Length: 0']),
  'a folded line': response(['A: b', ' c', 'Content-Length: 0']),
  'a line folded with a tab': response(['A: b', '\tc', 'Content-Length: 0']),
  'a folded line behind the status line': response([' A: b', 'Content-Length: 0']),
})

const { headBytes, fields: mostFields } = defaultHeadLimits
add('A head has a limit.', {
  'a head that is too long by one value': response([`A: ${'b'.repeat(headBytes)}`, 'Content-Length: 0']),
  'a head that is too long by its reason': response(['Content-Length: 0'], '', `HTTP/1.1 200 ${'x'.repeat(headBytes)}`),
  'a head with one field too many': response(Array.from({ length: mostFields + 1 }, () => 'A: b')),
})

add('An interim response has no body, and nothing may say that it has one (RFC 9110, 8.6 and RFC 9112, 6.1).', {
  'an interim response with a length': response(['Content-Length: 5'], `hello${hidden}`, 'HTTP/1.1 103 Early Hints'),
  'an interim response in chunks': response(['Transfer-Encoding: chunked'], noChunks + hidden, 'HTTP/1.1 100 Continue'),
  'an interim response that is malformed': `HTTP/1.1 103 Early Hints\r\nA : b\r\n\r\n${hidden}`,
  'a response that is malformed, behind an interim one': `HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nA : b\r\n\r\n`,
})
add(
  'A response to HEAD has no body; its head is read with the same care.',
  {
    'two lengths, for HEAD': response(['Content-Length: 5', 'Content-Length: 6']),
    'an invalid length, for HEAD': response(['Content-Length: +5']),
    'an unknown transfer coding, for HEAD': response(['Transfer-Encoding: cow']),
  },
  { method: 'HEAD' },
)

for (const [name, body] of Object.entries({
  'a chunk size that is empty': `\r\nhello\r\n${noChunks}`,
  'a chunk size with a minus': `-5\r\nhello\r\n${noChunks}`,
  'a chunk size with a prefix': `0x5\r\nhello\r\n${noChunks}`,
  'a chunk size with a space before': ` 5\r\nhello\r\n${noChunks}`,
  'a chunk size with a space behind': `5 \r\nhello\r\n${noChunks}`,
  'a chunk size with an underscore': `0_5\r\nhello\r\n${noChunks}`,
  'a chunk size with a letter that is none': `5g\r\nhello\r\n${noChunks}`,
  'a chunk size beyond 64 bits': `10000000000000005\r\nhello\r\n${noChunks}`,
  'a chunk size of many zeros': `${'0'.repeat(20)}5\r\nhello\r\n${noChunks}`,
  'a chunk size and a bare LF': `5\nhello\r\n${noChunks}`,
  'a chunk size and a bare CR': `5\rhello\r\n${noChunks}`,
  'a chunk that is longer than its size': `4\r\nhello\r\n${noChunks}`,
  'a chunk that is shorter than its size': `7\r\nhello\r\n${noChunks}`,
  'a chunk without a line end': `5\r\nhello${noChunks}`,
  'a chunk with a bare LF behind it': `5\r\nhello\n${noChunks}`,
  'a chunk extension without a name': `5;\r\nhello\r\n${noChunks}`,
  'a chunk extension with a bare LF': `5;a\nhello\r\n${noChunks}`,
  'a chunk extension with a bare CR': `5;a\rb\r\nhello\r\n${noChunks}`,
  'a chunk extension with a NUL': `5;a\0\r\nhello\r\n${noChunks}`,
  'a chunk extension that stays open': `5;a="b\r\nhello\r\n${noChunks}`,
  'a chunk extension that is too long': `5;a=${'b'.repeat(300)}\r\nhello\r\n${noChunks}`,
  'many chunk extensions': `${`1;a=${'b'.repeat(200)}\r\nx\r\n`.repeat(100)}${noChunks}`,
  'a last chunk and a bare LF': '0\n\n',
  'a last chunk with data': `0\r\nhello\r\n\r\n`,
  'a body that is not in chunks': 'hello world, this is no chunk',
  'trailers with a length': '0\r\nContent-Length: 5\r\n\r\n',
  'trailers with a transfer coding': '0\r\nTransfer-Encoding: chunked\r\n\r\n',
  'trailers with a space before the colon': '0\r\nA : b\r\n\r\n',
  'trailers with a folded line': '0\r\nA: b\r\n c\r\n\r\n',
  'trailers with a bare LF': '0\r\nA: b\nC: d\r\n\r\n',
  'trailers with a response within': '0\r\nHTTP/1.1 200 OK\r\n\r\n',
  'trailers with too many fields': `0\r\n${'A: b\r\n'.repeat(mostFields + 1)}\r\n`,
})) {
  add(
    'The end of the body must be where everybody sees it; a client never sees it when it is not there.',
    { [name]: chunks(body) },
    { where: 'body' },
  )
}

/** Responses that are refused, each with why. */
export const malformedResponses: readonly MalformedResponse[] = cases

/** Responses that are cut short by the end of the connection: never to be made to look whole. */
export const truncatedResponses: readonly { name: string; bytes: Buffer; where: 'head' | 'body' }[] = (
  [
    ['nothing', '', 'head'],
    ['a status line', 'HTTP/1.1 20', 'head'],
    ['a status line without what follows', 'HTTP/1.1 200 OK\r\n', 'head'],
    ['a head in a field', 'HTTP/1.1 200 OK\r\nContent-Le', 'head'],
    ['a head without its empty line', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n', 'head'],
    ['an interim response only', 'HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n', 'head'],
    ['a body with a length', response(['Content-Length: 10'], 'hello'), 'body'],
    ['a body with a length that did not begin', response(['Content-Length: 10']), 'body'],
    ['a chunk', chunks('5\r\nhel'), 'body'],
    ['a chunk without its line end', chunks('5\r\nhello'), 'body'],
    ['chunks without a last one', chunks('5\r\nhello\r\n'), 'body'],
    ['a last chunk without its line end', chunks('5\r\nhello\r\n0'), 'body'],
    ['a last chunk without its empty line', chunks('5\r\nhello\r\n0\r\n'), 'body'],
    ['a last chunk without its last LF', chunks('5\r\nhello\r\n0\r\n\r'), 'body'],
    ['trailers without their empty line', chunks('0\r\nA: b\r\n'), 'body'],
  ] as const
).map(([name, text, where]) => ({ name, bytes: Buffer.from(text, 'latin1'), where }))
