import { defaultHeadLimits } from '../../../src/http/http1/head-reader.ts'

/** Bytes that are refused. */
export interface MalformedRequest {
  readonly name: string
  /** All that a client would send, and often a request that it tries to smuggle behind. */
  readonly bytes: Buffer
  /** What the client is told; its connection is closed. */
  readonly status: number
  /** What could go wrong with a laxer reader. */
  readonly why: string
  /** How many requests before the bad one are good, and answered. */
  readonly before: number
  /** Where the fault lies. If it is the body, the head was good, and an upstream may have seen it, but no end. */
  readonly where: 'head' | 'body'
}

const cases: MalformedRequest[] = []

function add(
  status: number,
  why: string,
  named: Readonly<Record<string, string>>,
  more: { before?: number; where?: 'head' | 'body' } = {},
): void {
  for (const [name, text] of Object.entries(named)) {
    const { before = 0, where = 'head' } = more
    cases.push({ name, bytes: Buffer.from(text, 'latin1'), status, why, before, where })
  }
}

/** A head with these lines, and what follows it. */
function head(lines: readonly string[], rest = ''): string {
  return `${lines.join('\r\n')}\r\n\r\n${rest}`
}

function get(...fields: string[]): string {
  return head(['GET /x HTTP/1.1', 'Host: a.test', ...fields])
}

function target(text: string, method = 'GET', host = 'a.test'): string {
  return head([`${method} ${text} HTTP/1.1`, `Host: ${host}`])
}

function host(...values: string[]): string {
  return head(['GET /x HTTP/1.1', ...values.map((value) => `Host: ${value}`)])
}

function post(fields: readonly string[], body = ''): string {
  return head(['POST /x HTTP/1.1', 'Host: a.test', ...fields], body)
}

function chunks(body: string): string {
  return post(['Transfer-Encoding: chunked'], body)
}

const smuggled = head(['GET /smuggled HTTP/1.1', 'Host: a.test'])
const noChunks = '0\r\n\r\n'
const utf8 = (text: string): string => Buffer.from(text).toString('latin1')

add(400, 'One reader takes the length, the next one the chunks (RFC 9112, 6.1).', {
  'a length and a transfer coding': post(
    ['Content-Length: 6', 'Transfer-Encoding: chunked'],
    `${noChunks}G${smuggled}`,
  ),
  'a transfer coding and a length': post(
    ['Transfer-Encoding: chunked', 'Content-Length: 4'],
    `5c\r\nGPOST / HTTP/1.1\r\n\r\n${noChunks}`,
  ),
  'a transfer coding and a length of nothing': post(['Transfer-Encoding: chunked', 'Content-Length: 0'], noChunks),
  'a transfer coding and a length in other cases': post(
    ['tRANSFER-eNCODING: Chunked', 'CONTENT-LENGTH: 5'],
    `${noChunks}${smuggled}`,
  ),
  'a transfer coding and an empty length': post(['Transfer-Encoding: chunked', 'Content-Length:'], noChunks),
  'a transfer coding that is unknown, and a length': post(['Transfer-Encoding: cow', 'Content-Length: 5'], 'hello'),
  'the identity coding, and a length': post(['Transfer-Encoding: identity', 'Content-Length: 5'], 'hello'),
  'an empty transfer coding, and a length': post(['Transfer-Encoding:', 'Content-Length: 5'], 'hello'),
  'a length and a transfer coding of a GET': get('Content-Length: 0', 'Transfer-Encoding: chunked') + noChunks,
  'a transfer coding between two lengths': post(
    ['Content-Length: 5', 'Transfer-Encoding: chunked', 'Content-Length: 5'],
    noChunks,
  ),
})

add(400, 'Which of the lengths holds is a matter of taste (RFC 9112, 6.3).', {
  'two lengths': post(['Content-Length: 5', 'Content-Length: 6'], 'hello!'),
  'two lengths, the first of nothing': post(['Content-Length: 0', `Content-Length: ${smuggled.length}`], smuggled),
  'two lengths that are the same': post(['Content-Length: 5', 'Content-Length: 5'], 'hello'),
  'two lengths, one in lower case': post(['Content-Length: 5', 'content-length: 5'], 'hello'),
  'two lengths with another field between them': post(['Content-Length: 5', 'A: b', 'Content-Length: 6'], 'hello!'),
  'a list of the same lengths': post(['Content-Length: 5, 5'], 'hello'),
  'a list of lengths': post(['Content-Length: 5,6'], 'hello!'),
  'a length and an empty one': post(['Content-Length: 5', 'Content-Length:'], 'hello'),
})

for (const [name, value] of Object.entries({
  'that is empty': '',
  'of blanks': '  \t ',
  'with a plus': '+5',
  'with a minus': '-5',
  'of minus nothing': '-0',
  'in hexadecimal': '0x5',
  'of hexadecimal digits': 'a',
  'with an exponent': '5e0',
  'with a fraction': '5.0',
  'with a blank within': '5 5',
  'with a tab within': '0\t5',
  'with a parameter': '5;a=b',
  'with a comma behind': '5,',
  'with a comma before': ',5',
  'in quotes': '"5"',
  'in words': 'five',
  'with an underscore': '1_0',
  'with an apostrophe': "1'000",
  'in octal': '0o5',
  'in binary': '0b101',
  'of digits that are not ASCII': utf8('٥'),
  'of superscript digits': '\xb2',
  'with a no-break space behind': '5\xa0',
  'beyond what a number holds': '9007199254740993',
  'beyond 63 bits': '9223372036854775808',
  'beyond 64 bits': '18446744073709551621',
  'of a hundred digits': '5'.repeat(100),
  'of a hundred zeros': '0'.repeat(100),
  'without an end': 'Infinity',
})) {
  add(400, 'Parsers of numbers differ in what they take, and where they stop.', {
    [`a length ${name}`]: post([`Content-Length: ${value}`], 'hello'),
  })
}

for (const [name, value] of Object.entries({
  'that is unknown': 'xchunked',
  'that is unknown, with another ending': 'chunkedx',
  'that is empty': '',
  'that is identity': 'identity',
  'that is gzip': 'gzip',
  'twice in a list': 'chunked, chunked',
  'before another': 'chunked, identity',
  'before gzip': 'chunked, gzip',
  'after another': 'gzip, chunked',
  'after identity': 'identity, chunked',
  'with a comma behind': 'chunked,',
  'with a comma before': ',chunked',
  'with a parameter': 'chunked;q=1',
  'with a semicolon': 'chunked;',
  'in quotes': '"chunked"',
  'with a blank within': 'chun ked',
  'with a no-break space behind': 'chunked\xa0',
  'with a no-break space before': '\xa0chunked',
  'with a letter that is like k in lower case': utf8('chun\u212aed'),
  'with a byte of 8 bits': 'chunke\xe4',
  'with a colon': ': chunked',
})) {
  add(400, 'A reader that does not know the coding, or knows it too well, looks for the end of the body elsewhere.', {
    [`a transfer coding ${name}`]: post([`Transfer-Encoding: ${value}`], `${noChunks}${smuggled}`),
  })
}

add(400, 'Control characters are blanks to some, and part of the word to others.', {
  'a transfer coding after a vertical tab': post(['Transfer-Encoding: \vchunked'], noChunks),
  'a transfer coding before a vertical tab': post(['Transfer-Encoding: chunked\v'], noChunks),
  'a transfer coding before a form feed': post(['Transfer-Encoding: chunked\f'], noChunks),
  'a transfer coding before a NUL': post(['Transfer-Encoding: chunked\0'], noChunks),
  'a length before a vertical tab': post(['Content-Length: 5\v'], 'hello'),
  'a transfer coding before a tab': post(['Transfer-Encoding: chunked\t'], noChunks),
  'a transfer coding before a space and a tab': post(['Transfer-Encoding: chunked \t'], noChunks),
  'a transfer coding after a tab': post(['Transfer-Encoding:\tchunked'], noChunks),
  'a transfer coding after a tab and a space': post(['Transfer-Encoding:\t chunked'], noChunks),
  'a length before a tab': post(['Content-Length: 5\t'], 'hello'),
  'a length after a tab': post(['Content-Length:\t5'], 'hello'),
  'a length before a NUL': post(['Content-Length: 5\0'], 'hello'),
})

add(400, 'Which of the fields holds is a matter of taste.', {
  'two transfer codings that are the same': post(
    ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
    noChunks,
  ),
  'two transfer codings, the last unknown': post(['Transfer-Encoding: chunked', 'Transfer-Encoding: cow'], noChunks),
  'two transfer codings, the first unknown': post(['Transfer-Encoding: cow', 'Transfer-Encoding: chunked'], noChunks),
  'two transfer codings, the last identity': post(
    ['Transfer-Encoding: chunked', 'Transfer-encoding: identity'],
    noChunks,
  ),
  'two transfer codings, one empty': post(['Transfer-Encoding: chunked', 'Transfer-Encoding:'], noChunks),
})

add(400, 'HTTP/1.0 knows no transfer codings (RFC 9112, 6.1).', {
  'a transfer coding in HTTP/1.0': head(
    ['POST /x HTTP/1.0', 'Host: a.test', 'Transfer-Encoding: chunked'],
    `${noChunks}${smuggled}`,
  ),
  'a transfer coding in HTTP/1.0 that is kept alive': head(
    ['POST /x HTTP/1.0', 'Connection: keep-alive', 'Transfer-Encoding: chunked'],
    noChunks,
  ),
})

add(400, 'One reader sees the field and another does not (TE.TE, CL.TE).', {
  'a transfer coding with a space before the colon': post(
    ['Content-Length: 5', 'Transfer-Encoding : chunked'],
    noChunks,
  ),
  'a transfer coding with a tab before the colon': post(
    ['Content-Length: 5', 'Transfer-Encoding\t: chunked'],
    noChunks,
  ),
  'a transfer coding with a NUL before the colon': post(
    ['Content-Length: 5', 'Transfer-Encoding\0: chunked'],
    noChunks,
  ),
  'a name of a transfer coding after a space': post(['Content-Length: 5', ' Transfer-Encoding: chunked'], noChunks),
  'a name of a transfer coding after a tab': post(['Content-Length: 5', '\tTransfer-Encoding: chunked'], noChunks),
  'a transfer coding as the first line, after a space': head(
    ['POST /x HTTP/1.1', ' Transfer-Encoding: chunked', 'Host: a.test', 'Content-Length: 5'],
    noChunks,
  ),
  'a transfer coding on a folded line': post(['Content-Length: 5', 'Transfer-Encoding:', ' chunked'], noChunks),
  'a transfer coding folded after a word': post(['Transfer-Encoding: chunked', '\t, identity'], noChunks),
  'a transfer coding behind a bare LF': post(['Content-Length: 5', 'A: b\nTransfer-Encoding: chunked'], noChunks),
  'a transfer coding behind a bare CR': post(['Content-Length: 5', 'A: b\rTransfer-Encoding: chunked'], noChunks),
  'a transfer coding behind two CRs': post(['Content-Length: 5', 'A: b\r\r\nTransfer-Encoding: chunked'], noChunks),
  'a transfer coding behind a NUL': post(['Content-Length: 5', 'A: b\0Transfer-Encoding: chunked'], noChunks),
  'a length with a space before the colon': post([`Content-Length : ${smuggled.length}`], smuggled),
  'a length on a folded line': post(['Content-Length:', ' 5'], 'hello'),
  'a length that goes on on a folded line': post(['Content-Length: 5', ' 5'], 'hello'),
  'a length with a CR within': post(['Content-\rLength: 5'], 'hello'),
  'a length without a colon': post(['Content-Length 5'], 'hello'),
})

// Each line end replaced by half of it, and every kind of place with a byte that belongs nowhere.
const plain = 'GET /x?y HTTP/1.1\r\nHost: a.test\r\nAccept: b\r\n\r\n'
for (const [index, name] of ['start line', 'Host field', 'last field', 'head'].entries()) {
  const at = [...plain.matchAll(/\r\n/g)][index]?.index as number
  add(400, 'Some take a bare LF or a bare CR for the end of a line; to others the line goes on.', {
    [`a bare LF at the end of the ${name}`]: `${plain.slice(0, at)}\n${plain.slice(at + 2)}${smuggled}`,
    [`a bare CR at the end of the ${name}`]: `${plain.slice(0, at)}\r${plain.slice(at + 2)}${smuggled}`,
    [`two CRs at the end of the ${name}`]: `${plain.slice(0, at)}\r\r\n${plain.slice(at + 2)}${smuggled}`,
    [`LF and CR at the end of the ${name}`]: `${plain.slice(0, at)}\n\r${plain.slice(at + 2)}${smuggled}`,
  })
}
const spots = {
  'before the method': 0,
  'in the method': 1,
  'after the method': 3,
  'before the target': 4,
  'in the path': 5,
  'in the query': 7,
  'before the version': 9,
  'in the version': 14,
  'in a name': 20,
  'before a colon': 23,
  'after a colon': 24,
  'in a value': 27,
  'after a value': 31,
}
for (const [byte, code] of Object.entries({ CR: 0x0d, LF: 0x0a, NUL: 0, DEL: 0x7f })) {
  for (const [spot, at] of Object.entries(spots)) {
    add(400, 'Control characters end lines, words or strings for some readers.', {
      [`a ${byte} ${spot}`]: plain.slice(0, at) + String.fromCharCode(code) + plain.slice(at),
    })
  }
}
for (const code of [0x01, 0x08, 0x0b, 0x0c, 0x1b, 0x1f]) {
  const byte = `0x${code.toString(16).padStart(2, '0')}`
  add(400, 'Control characters have no place in a value (RFC 9110, 5.5).', {
    [`a control character in a value (${byte})`]: get(`A: b${String.fromCharCode(code)}c`),
  })
}

for (const char of ' \t"(),/;<=>?@[\\]{}\x80\xe4\xff') {
  if (char === ' ' || char === '\t') continue
  add(400, 'A name is a token (RFC 9110, 5.6.2).', {
    [`a name with ${JSON.stringify(char)}`]: get(`A${char}B: c`),
  })
}
add(400, 'A line that is no field is skipped by some, and joined to the line before by others.', {
  'a name with a space within': get('A B: c'),
  'a space before the colon': get('A : b'),
  'a tab before the colon': get('A\t: b'),
  'a line without a colon': get('abc'),
  'a line that begins with a colon': get(': b'),
  'a line of a colon': get(':'),
  'a folded line': get('A: b', ' c'),
  'a line folded with a tab': get('A: b', '\tc'),
  'a line of a blank': get('A: b', ' '),
  'a folded line behind the start line': head(['GET /x HTTP/1.1', ' A: b', 'Host: a.test']),
  'a folded Host': head(['GET /x HTTP/1.1', 'Host:', ' a.test']),
  'a space before the first name': head(['GET /x HTTP/1.1', ' Host: a.test']),
})

add(400, 'Without one valid Host the request could go anywhere (RFC 9112, 3.2).', {
  'no Host': head(['GET /x HTTP/1.1', 'Accept: b']),
  'no field at all': head(['GET /x HTTP/1.1']),
  'no Host with an absolute target': head(['GET http://a.test/x HTTP/1.1', 'Accept: b']),
  'two Hosts': host('a.test', 'b.test'),
  'two Hosts that are the same': host('a.test', 'a.test'),
  'two Hosts, the first empty': host('', 'a.test'),
  'two Hosts in HTTP/1.0': head(['GET /x HTTP/1.0', 'Host: a.test', 'host: b.test']),
  'an invalid Host in HTTP/1.0': head(['GET /x HTTP/1.0', 'Host: a/b']),
  'a Host with a space before the colon': head(['GET /x HTTP/1.1', 'Host : a.test']),
})
for (const [name, value] of Object.entries({
  'that is a list': 'a.test, b.test',
  'with a comma': 'a.test,b.test',
  'with a path': 'a.test/b',
  'with a user': 'me@a.test',
  'with a blank': 'a.test b.test',
  'with a tab': 'a.test\tb.test',
  'with a backslash': 'a.test\\b',
  'with a query': 'a.test?b',
  'with a fragment': 'a.test#b',
  'with a scheme': 'http://a.test',
  'with a port of letters': 'a.test:http',
  'with a negative port': 'a.test:-1',
  'with a port that is too large': 'a.test:65536',
  'with a port of six digits': 'a.test:000080',
  'with two ports': 'a.test:80:80',
  'with an empty port': 'a.test:',
  'of a port only': ':80',
  'with an open bracket': '[::1',
  'with a closed bracket': '::1]',
  'with an address without brackets': '::1',
  'with an address that is none': '[1::2::3]',
  'with colons in brackets': '[::::::::::]',
  'with an IPv4 address in brackets': '[127.0.0.1]',
  'with something behind the brackets': '[::1]a',
  'with a zone': '[fe80::1%25eth0]',
  'with letters in brackets': '[a.test]',
  'with a broken escape': 'a%zz.test',
  'with half an escape': 'a.test%4',
  'with quotes': '"a.test"',
  'with angle brackets': '<a.test>',
  'with a byte of 8 bits': utf8('ä.test'),
  'with a no-break space': '\xa0a.test',
  'that is too long': `${'a'.repeat(300)}.test`,
})) {
  add(400, 'A router, a cache and an application may take different hosts from it.', {
    [`a Host ${name}`]: host(value),
  })
}
add(400, 'A router may go by the target and an application by the Host, or the other way round.', {
  'an absolute target and another Host': target('http://b.test/x'),
  'an absolute target and a Host with another port': target('http://a.test/x', 'GET', 'a.test:81'),
  'an absolute target with a port and a Host without': target('http://a.test:81/x'),
  'an absolute target and an empty Host': target('http://a.test/x', 'GET', ''),
  'a CONNECT to another host than Host': target('b.test:443', 'CONNECT', 'a.test:443'),
  'a CONNECT to another port than Host': target('a.test:443', 'CONNECT', 'a.test:80'),
})

for (const [name, value] of Object.entries({
  'with a fragment': '/x#y',
  'that is a fragment': '#x',
  'with a fragment behind the query': '/x?y#z',
  'with a space': '/x y',
  'with a tab': '/x\ty',
  'with a control character': '/x\x01y',
  'with a vertical tab': '/x\vy',
  'with a byte of 8 bits in the path': '/\xe4',
  'with UTF-8 in the path': utf8('/ä'),
  'with UTF-8 in the query': utf8('/x?ä'),
  'with a quotation mark': '/x"y',
  'with a quotation mark in the query': '/x?"y',
  'with an angle bracket': '/<x>',
  'with an angle bracket in the query': '/x?<y>',
  'with a backslash': '/x\\y',
  'that begins with a backslash': '\\x',
  'without a slash': 'x',
  'that is a query': '?x',
  'that is dots': '..',
  'that is an asterisk': '*',
  'that begins with an asterisk': '*/x',
  'that is a host': 'a.test',
  'that is a host and port': 'a.test:80',
  'with another scheme': 'ftp://a.test/x',
  'with a scheme of a file': 'file:///etc/passwd',
  'with a scheme and no host': 'http:///x',
  'with a scheme only': 'http://',
  'with a scheme and one slash': 'http:/x',
  'with a scheme and no slash': 'http:x',
  'with a user': 'http://me@a.test/x',
  'with a user and a password': 'http://me:you@a.test/x',
  'with a host and an invalid port': 'http://a.test:80x/x',
  'with a host and a port that is too large': 'http://a.test:99999/x',
  'with a broken address': 'http://[::1/x',
})) {
  add(400, 'Readers of targets differ in what they cut off, decode or take for a host (RFC 9112, 3.2).', {
    [`a target ${name}`]: target(value),
  })
}
add(400, 'Only OPTIONS asks about the server, and only CONNECT names a host and port (RFC 9112, 3.2).', {
  'an OPTIONS with an asterisk and more': target('*x', 'OPTIONS'),
  'an OPTIONS with an asterisk and a query': target('*?x', 'OPTIONS'),
  'a POST with an asterisk': target('*', 'POST'),
  'a CONNECT with a path': target('/x', 'CONNECT'),
  'a CONNECT with an absolute target': target('http://a.test/', 'CONNECT'),
  'a CONNECT without a port': target('a.test', 'CONNECT'),
  'a CONNECT with an empty port': target('a.test:', 'CONNECT'),
  'a CONNECT with no host': target(':443', 'CONNECT', ''),
  'a CONNECT with a port that is too large': target('a.test:70000', 'CONNECT', 'a.test:70000'),
  'a CONNECT with an asterisk': target('*', 'CONNECT'),
  'a connect in lower case': target('a.test:443', 'connect', 'a.test:443'),
})

add(400, 'Some take what follows the head of a CONNECT for the tunnel, whatever its framing says (RFC 9110, 9.3.6).', {
  'a CONNECT with a length': head(
    ['CONNECT a.test:443 HTTP/1.1', 'Host: a.test:443', `Content-Length: ${smuggled.length}`],
    smuggled,
  ),
  'a CONNECT in chunks': head(
    ['CONNECT a.test:443 HTTP/1.1', 'Host: a.test:443', 'Transfer-Encoding: chunked'],
    noChunks,
  ),
})

add(400, 'What is no request line is no request (RFC 9112, 3).', {
  'something else': 'HELLO\r\n\r\n',
  'a word and nothing': head(['GET']),
  'a method and a target, as in HTTP/0.9': head(['GET /x']),
  'no target': head(['GET HTTP/1.1', 'Host: a.test']),
  'an empty target': head(['GET  HTTP/1.1', 'Host: a.test']),
  'no method': head(['/x HTTP/1.1', 'Host: a.test']),
  'an empty method': head([' /x HTTP/1.1', 'Host: a.test']),
  'two spaces behind the method': head(['GET  /x HTTP/1.1', 'Host: a.test']),
  'two spaces behind the target': head(['GET /x  HTTP/1.1', 'Host: a.test']),
  'a tab behind the method': head(['GET\t/x HTTP/1.1', 'Host: a.test']),
  'a tab behind the target': head(['GET /x\tHTTP/1.1', 'Host: a.test']),
  'a space behind the version': head(['GET /x HTTP/1.1 ', 'Host: a.test']),
  'a space before the method': head([' GET /x HTTP/1.1', 'Host: a.test']),
  'a word behind the version': head(['GET /x HTTP/1.1 y', 'Host: a.test']),
  'two versions': head(['GET /x HTTP/1.1 HTTP/1.0', 'Host: a.test']),
  'a method with a colon': head(['G:T /x HTTP/1.1', 'Host: a.test']),
  'a method with brackets': head(['G(T /x HTTP/1.1', 'Host: a.test']),
  'a method with a byte of 8 bits': head(['G\xc9T /x HTTP/1.1', 'Host: a.test']),
  'a method that is a byte too long': head([`${'G'.repeat(33)} /x HTTP/1.1`, 'Host: a.test']),
  'a method that is too long': head([`${'G'.repeat(40)} /x HTTP/1.1`, 'Host: a.test']),
  'a method that is much too long': head([`${'G'.repeat(40_000)} /x HTTP/1.1`, 'Host: a.test']),
  'a response': 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'a field before the request line': head(['Host: a.test', 'GET /x HTTP/1.1']),
  'an empty line of LF before the request': `\n${smuggled}`,
  'an empty line of CR before the request': `\r${smuggled}`,
  'many empty lines before the request': `\r\n\r\n\r\n\r\n${smuggled}`,
  'empty lines only': '\r\n'.repeat(20),
  'a greeting of TLS': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x8f\x00\x00\r\n\r\n',
  'a greeting of SOCKS': '\x05\x01\x00',
  'a line of the PROXY protocol': `PROXY TCP4 192.0.2.1 192.0.2.2 4000 80\r\n${smuggled}`,
  'a greeting of SMTP': 'EHLO a.test\r\n\r\n',
})

for (const version of [
  'HTTP/1.2',
  'HTTP/1.9',
  'HTTP/1',
  'HTTP/1.',
  'HTTP/.1',
  'HTTP/11',
  'HTTP/1.11',
  'HTTP/01.1',
  'HTTP/1.01',
  'HTTP/1,1',
  'HTTP/1.x',
  'HTTP /1.1',
  'HTTP/ 1.1',
  'http/1.1',
  'Http/1.1',
  'HTTPS/1.1',
  'HTP/1.1',
  'HTTP1.1',
  'HTTP\\1.1',
  'ICE/1.0',
  'RTSP/1.0',
]) {
  add(400, 'Some take it for the version that they know.', {
    [`the version ${JSON.stringify(version)}`]: head([`GET /x ${version}`, 'Host: a.test']),
  })
}
add(505, 'It is a version, but none that is spoken here (RFC 9110, 15.6.6).', {
  'HTTP/0.9': head(['GET /x HTTP/0.9', 'Host: a.test']),
  'HTTP/2.0': head(['GET /x HTTP/2.0', 'Host: a.test']),
  'HTTP/3.0': head(['GET /x HTTP/3.0', 'Host: a.test']),
  'HTTP/9.9': head(['GET /x HTTP/9.9', 'Host: a.test']),
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
})

add(417, 'An expectation that nobody here meets (RFC 9110, 10.1.1).', {
  'an unknown expectation': post(['Expect: 200-ok', 'Content-Length: 0']),
  'a known and an unknown expectation': post(['Expect: 100-continue, 200-ok', 'Content-Length: 0']),
  'two expectations': post(['Expect: 100-continue', 'Expect: 100-continue', 'Content-Length: 0']),
})

const { headBytes, targetBytes, fields: mostFields } = defaultHeadLimits
add(414, 'A target has a limit.', {
  'a target that is a byte too long': target(`/${'x'.repeat(targetBytes)}`),
  'a target that is too long by its query': target(`/x?${'y'.repeat(targetBytes)}`),
  'a target that is much too long': target(`/${'x'.repeat(headBytes * 2)}`),
  'an absolute target that is too long': target(`http://a.test/${'x'.repeat(targetBytes)}`),
})
add(431, 'A head has a limit.', {
  'a head that is too long by one value': get(`A: ${'b'.repeat(headBytes)}`),
  'a head that is too long by one name': get(`${'A'.repeat(headBytes)}: b`),
  'a head that is too long by many fields': get(...Array.from({ length: 50 }, (_, at) => `A${at}: ${'b'.repeat(700)}`)),
  'a head that is a byte too long': get(`A: ${'b'.repeat(headBytes - get('A: ').length + 1)}`),
  'a head with one field too many': get(...Array.from({ length: mostFields }, (_, at) => `A${at}: b`)),
  'a head with a thousand empty fields': get(...Array.from({ length: 1_000 }, () => 'A:')),
})

// Bodies in chunks.
for (const [name, size] of Object.entries({
  'that is empty': '',
  'with a minus': '-5',
  'with a plus': '+5',
  'with a prefix': '0x5',
  'of a prefix': '0x',
  'with an underscore': '0_5',
  'with a space before': ' 5',
  'with a space behind': '5 ',
  'with a tab behind': '5\t',
  'with blanks before an extension': '5 ;a',
  'with a letter that is none': '5g',
  'of a letter that is none': 'g',
  'with a fraction': '5.0',
  'with an exponent': '5e+0',
  'with a comma': '5,5',
  'in quotes': '"5"',
  'with a NUL': '5\0',
  'with a vertical tab': '5\v',
  'with a byte of 8 bits': '5\xa0',
  'beyond 32 bits and more': '100000000000005',
  'beyond 64 bits': '10000000000000005',
  'of sixteen digits': 'ffffffffffffffff',
  'of many zeros': `${'0'.repeat(20)}5`,
  'of a thousand zeros': `${'0'.repeat(1_000)}5`,
})) {
  add(
    400,
    'Parsers of numbers differ in what they take, and where they stop or overflow.',
    { [`a chunk size ${name}`]: chunks(`${size}\r\nhello\r\n${noChunks}`) },
    { where: 'body' },
  )
}
add(
  400,
  'A chunk ends where its size says, and with CRLF; whoever looks for something else reads another body.',
  {
    'a chunk size and a bare LF': chunks(`5\nhello\r\n${noChunks}`),
    'a chunk size and a bare CR': chunks(`5\rhello\r\n${noChunks}`),
    'a chunk size and two CRs': chunks(`5\r\r\nhello\r\n${noChunks}`),
    'a chunk that is longer than its size': chunks(`4\r\nhello\r\n${noChunks}`),
    'a chunk that is shorter than its size': chunks(`7\r\nhello\r\n${noChunks}`),
    'a chunk without a line end': chunks(`5\r\nhello${noChunks}`),
    'a chunk with a bare LF behind it': chunks(`5\r\nhello\n${noChunks}`),
    'a chunk with a bare CR behind it': chunks(`5\r\nhello\r${noChunks}`),
    'a chunk with a space behind it': chunks(`5\r\nhello \r\n${noChunks}`),
    'a chunk with two line ends behind it': chunks(`5\r\nhello\r\n\r\n${noChunks}`),
    'an empty line before the first chunk': chunks(`\r\n5\r\nhello\r\n${noChunks}`),
    'a last chunk and a bare LF': chunks(`0\n\n${smuggled}`),
    'a last chunk, CRLF and LF': chunks(`0\r\n\n${smuggled}`),
    'a last chunk, CRLF and CR': chunks(`0\r\n\r${smuggled}`),
    'a last chunk with a space behind it': chunks(`0 \r\n\r\n${smuggled}`),
    'a last chunk with a prefix': chunks(`0x0\r\n\r\n${smuggled}`),
    'a last chunk with data': chunks(`0\r\nhello\r\n${smuggled}`),
    'a body that is not in chunks': chunks('hello world, this is no chunk\r\n\r\n'),
  },
  { where: 'body' },
)
for (const [name, extension] of Object.entries({
  'without a name': ';',
  'without a name, before another': ';;a',
  'with a value and no name': ';=b',
  'with an equals sign and no value': ';a=',
  'with a space before its name': '; a',
  'with a space behind its name': ';a ',
  'with spaces around the equals sign': ';a = b',
  'with two words': ';a b',
  'with a quotation mark that stays open': ';a="b',
  'with a quotation mark within': ';a=b"c"',
  'with something behind its quotes': ';a="b"c',
  'with an open escape': ';a="b\\"',
  'with a control character in quotes': ';a="\x01"',
  'with a semicolon at the end': ';a=b;',
  'with a NUL': ';a\0',
  'with a tab': ';a\t',
  'with a bare LF': ';a\n',
  'with a bare LF and a chunk behind it': ';a\n0\r\n\r\n',
  'with a bare CR': ';a\rb',
  'with a bare LF in quotes': ';a="\n"',
  'with a comma': ';a,b',
  'with a byte of 8 bits': ';\xe4',
  'that is too long': `;a=${'b'.repeat(300)}`,
  'that is much too long': `;a=${'b'.repeat(100_000)}`,
})) {
  add(
    400,
    'Some skip an extension up to LF, some up to CRLF, and some keep it (TERM.EXT, EXT.TERM).',
    { [`a chunk extension ${name}`]: chunks(`5${extension}\r\nhello\r\n${noChunks}`) },
    { where: 'body' },
  )
}
add(
  400,
  'Extensions are thrown away; whoever sends mostly extensions wants to keep us busy.',
  { 'many chunk extensions': chunks(`${`1;a=${'b'.repeat(200)}\r\nx\r\n`.repeat(100)}${noChunks}`) },
  { where: 'body' },
)
for (const [name, fields] of Object.entries({
  'with a length': 'Content-Length: 5\r\n',
  'with a transfer coding': 'Transfer-Encoding: chunked\r\n',
  'with a Host': 'Host: b.test\r\n',
  'with a length among others': 'A: b\r\ncontent-length: 0\r\nC: d\r\n',
  'with a space before the colon': 'A : b\r\n',
  'with a folded line': 'A: b\r\n c\r\n',
  'with a folded first line': ' A: b\r\n',
  'with a line without a colon': 'abc\r\n',
  'with an invalid name': 'A(B: c\r\n',
  'with a request within': 'GET /smuggled HTTP/1.1\r\nHost: a.test\r\n',
  'with a bare LF': 'A: b\nC: d\r\n',
  'with a bare CR': 'A: b\rC: d\r\n',
  'with a NUL': 'A: b\0\r\n',
  'with too many fields': 'A: b\r\n'.repeat(mostFields + 1),
  'with too many bytes': `A: ${'b'.repeat(headBytes)}\r\n`,
})) {
  add(
    400,
    'Trailers follow the rules of a head, and cannot say how their message is framed (RFC 9110, 6.5.1).',
    { [`trailers ${name}`]: chunks(`5\r\nhello\r\n0\r\n${fields}\r\n`) },
    { where: 'body' },
  )
}

add(
  400,
  'What is behind a good request is read with the same care.',
  {
    'both lengths, behind a request': `${smuggled}${post(['Content-Length: 4', 'Transfer-Encoding: chunked'], noChunks)}`,
    'two Hosts, behind a request with a body': `${post(['Content-Length: 5'], 'hello')}${host('a.test', 'b.test')}`,
    'more bytes than the length says': post(['Content-Length: 5'], 'hello, world\r\n\r\n'),
    'more bytes than a length of nothing says': post(['Content-Length: 0'], 'hello\r\n\r\n'),
    'a body without a length': post([], 'a=b\r\n\r\n'),
    'a body of a GET without a length': `${get()}hello\r\n\r\n`,
    'something else behind the last chunk': `${chunks(`5\r\nhello\r\n${noChunks}`)}hello\r\n\r\n`,
    'a chunk behind the last chunk': `${chunks(noChunks)}5\r\nhello\r\n`,
    'a bare LF behind a request': `${smuggled}\n${smuggled}`,
    'many empty lines behind a request': `${smuggled}\r\n\r\n\r\n${smuggled}`,
  },
  { before: 1 },
)
add(
  400,
  'What is behind two good requests is read with the same care.',
  { 'no Host, behind two requests': `${smuggled}${chunks(noChunks)}${head(['GET /x HTTP/1.1'])}` },
  { before: 2 },
)

/** Requests that are refused, each with what the client is told, and why. */
export const malformedRequests: readonly MalformedRequest[] = cases

/** Requests that are cut short: good as far as they go, and never to be taken for whole. */
export const truncatedRequests: readonly { name: string; bytes: Buffer; where: 'head' | 'body' }[] = (
  [
    ['a start line', 'GET /x HT', 'head'],
    ['a start line without what follows', 'GET /x HTTP/1.1\r\n', 'head'],
    ['a head in a field', 'GET /x HTTP/1.1\r\nHost: a.t', 'head'],
    ['a head without its empty line', 'GET /x HTTP/1.1\r\nHost: a.test\r\n', 'head'],
    ['a head without its last LF', 'GET /x HTTP/1.1\r\nHost: a.test\r\n\r', 'head'],
    ['a body with a length', post(['Content-Length: 10'], 'hello'), 'body'],
    ['a body with a length that did not begin', post(['Content-Length: 10']), 'body'],
    ['a chunk', chunks('5\r\nhel'), 'body'],
    ['a chunk without its line end', chunks('5\r\nhello'), 'body'],
    ['chunks without a last one', chunks('5\r\nhello\r\n'), 'body'],
    ['a last chunk without its line end', chunks('5\r\nhello\r\n0'), 'body'],
    ['a last chunk without its empty line', chunks('5\r\nhello\r\n0\r\n'), 'body'],
    ['a last chunk without its last LF', chunks('5\r\nhello\r\n0\r\n\r'), 'body'],
    ['trailers without their empty line', chunks('0\r\nA: b\r\n'), 'body'],
  ] as const
).map(([name, text, where]) => ({ name, bytes: Buffer.from(text, 'latin1'), where }))
