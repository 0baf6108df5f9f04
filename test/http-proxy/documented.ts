import type { ProxyServerOptions } from '../../src/http-proxy/index.ts'

/** What arrives somewhere: a start line, fields by name in lower case (all values), and a body. */
export interface Arrived {
  readonly start: string
  readonly fields: Readonly<Record<string, string>>
  readonly body: string
}

/** One exchange, and what http-proxy 1.18.1 makes of it; `TARGET` and `FRONT` stand for host and port. */
export interface Documented {
  readonly claim: string
  readonly options: ProxyServerOptions
  readonly request: string
  readonly response: string
  /** What the target gets from http-proxy, with those fields and no others. */
  readonly target: Arrived
  /** What the client gets from it. */
  readonly client: Arrived
  /** Where we do something else, and why. */
  readonly differs?: { readonly why: string; readonly target?: Arrived; readonly client?: Arrived }
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const okay: Arrived = { start: 'HTTP/1.1 200 OK', fields: { 'content-length': '2' }, body: 'ok' }

/**
 * Exchanges through http-proxy with an agent that keeps connections, recorded from the package itself. Left out of the
 * fields are `connection`, `keep-alive` and `date`, which Node's servers and clients write by themselves.
 */
export const documented: readonly Documented[] = [
  {
    claim: 'a plain request',
    options: {},
    request: 'GET /a?b=c HTTP/1.1\r\nHost: app.test\r\nAccept: */*\r\n\r\n',
    response: ok,
    target: { start: 'GET /a?b=c HTTP/1.1', fields: { host: 'app.test', accept: '*/*' }, body: '' },
    client: okay,
  },
  {
    claim: 'a body with a length',
    options: {},
    request: 'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello',
    response: ok,
    target: { start: 'POST / HTTP/1.1', fields: { host: 'app.test', 'content-length': '5' }, body: 'hello' },
    client: okay,
  },
  {
    claim: 'a body in chunks',
    options: {},
    request: 'PUT / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    response: ok,
    target: {
      start: 'PUT / HTTP/1.1',
      fields: { host: 'app.test', 'transfer-encoding': 'chunked' },
      body: '5\r\nhello\r\n0\r\n\r\n',
    },
    client: okay,
  },
  {
    claim: 'a body in chunks with DELETE',
    options: {},
    request: 'DELETE / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    response: ok,
    target: { start: 'DELETE / HTTP/1.1', fields: { host: 'app.test', 'content-length': '0' }, body: 'hello' },
    client: okay,
    differs: {
      why: 'the target would read the body as the next request (CVE-2026-29057)',
      target: {
        start: 'DELETE / HTTP/1.1',
        fields: { host: 'app.test', 'transfer-encoding': 'chunked' },
        body: '5\r\nhello\r\n0\r\n\r\n',
      },
    },
  },
  {
    claim: 'DELETE without a body',
    options: {},
    request: 'DELETE /x HTTP/1.1\r\nHost: app.test\r\n\r\n',
    response: ok,
    target: { start: 'DELETE /x HTTP/1.1', fields: { host: 'app.test', 'content-length': '0' }, body: '' },
    client: okay,
    differs: {
      why: 'a request without a body says nothing of one',
      target: { start: 'DELETE /x HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    },
  },
  {
    claim: 'fields that are for one hop',
    options: {},
    request:
      'GET / HTTP/1.1\r\nHost: app.test\r\nConnection: X-Secret\r\nX-Secret: 1\r\nTE: gzip\r\nProxy-Authorization: Basic eA==\r\n\r\n',
    response:
      'HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nX-Secret: 1\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nok',
    target: {
      start: 'GET / HTTP/1.1',
      fields: { host: 'app.test', 'x-secret': '1', te: 'gzip', 'proxy-authorization': 'Basic eA==' },
      body: '',
    },
    client: {
      start: 'HTTP/1.1 200 OK',
      fields: { 'x-secret': '1', 'proxy-authenticate': 'Basic', 'content-length': '2' },
      body: 'ok',
    },
    differs: {
      why: 'RFC 9110, 7.6.1: they are not passed on',
      target: { start: 'GET / HTTP/1.1', fields: { host: 'app.test' }, body: '' },
      client: okay,
    },
  },
  {
    claim: 'fields that come more than once',
    options: {},
    request: 'GET / HTTP/1.1\r\nHost: app.test\r\nX-Two: a\r\nX-Two: b\r\n\r\n',
    response:
      'HTTP/1.1 200 OK\r\nX-Two: a\r\nX-Two: b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok',
    target: { start: 'GET / HTTP/1.1', fields: { host: 'app.test', 'x-two': 'a, b' }, body: '' },
    client: {
      start: 'HTTP/1.1 200 OK',
      fields: { 'x-two': 'a, b', 'set-cookie': 'a=1 | b=2', 'content-length': '2' },
      body: 'ok',
    },
    differs: {
      why: 'they come as they were sent',
      target: { start: 'GET / HTTP/1.1', fields: { host: 'app.test', 'x-two': 'a | b' }, body: '' },
      client: {
        start: 'HTTP/1.1 200 OK',
        fields: { 'x-two': 'a | b', 'set-cookie': 'a=1 | b=2', 'content-length': '2' },
        body: 'ok',
      },
    },
  },
  {
    claim: 'changeOrigin',
    options: { changeOrigin: true },
    request: 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n',
    response: ok,
    target: { start: 'GET / HTTP/1.1', fields: { host: 'TARGET' }, body: '' },
    client: okay,
  },
  {
    claim: 'xfwd',
    options: { xfwd: true },
    request: 'GET / HTTP/1.1\r\nHost: app.test:8080\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n',
    response: ok,
    target: {
      start: 'GET / HTTP/1.1',
      fields: {
        host: 'app.test:8080',
        'x-forwarded-for': '10.0.0.1,127.0.0.1',
        'x-forwarded-port': '8080',
        'x-forwarded-proto': 'http',
        'x-forwarded-host': 'app.test:8080',
      },
      body: '',
    },
    client: okay,
  },
  {
    claim: 'auth and headers',
    options: { auth: 'a:b', headers: { 'X-Over': 'ours' } },
    request: 'GET / HTTP/1.1\r\nHost: app.test\r\nx-over: theirs\r\n\r\n',
    response: ok,
    target: {
      start: 'GET / HTTP/1.1',
      fields: { host: 'app.test', 'x-over': 'ours', authorization: 'Basic YTpi' },
      body: '',
    },
    client: okay,
  },
  {
    claim: 'method',
    options: { method: 'PATCH' },
    request: 'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi',
    response: ok,
    target: { start: 'PATCH / HTTP/1.1', fields: { host: 'app.test', 'content-length': '2' }, body: 'hi' },
    client: okay,
  },
  {
    claim: 'ignorePath',
    options: { ignorePath: true },
    request: 'GET /a?b=c HTTP/1.1\r\nHost: app.test\r\n\r\n',
    response: ok,
    target: { start: 'GET / HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    client: okay,
  },
  {
    claim: 'a request in absolute form',
    options: {},
    request: 'GET http://app.test/a?b=c HTTP/1.1\r\nHost: app.test\r\n\r\n',
    response: ok,
    target: { start: 'GET /a?b=c HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    client: okay,
  },
  {
    claim: 'a request in absolute form with toProxy',
    options: { toProxy: true },
    request: 'GET http://app.test/a?b=c HTTP/1.1\r\nHost: app.test\r\n\r\n',
    response: ok,
    target: { start: 'GET /http://app.test/a?b=c HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    client: okay,
    differs: {
      why: 'a proxy is asked by a URL, not by a path that looks like one',
      target: { start: 'GET http://app.test/a?b=c HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    },
  },
  {
    claim: 'two slashes',
    options: {},
    request: 'GET //a//b HTTP/1.1\r\nHost: app.test\r\n\r\n',
    response: ok,
    target: { start: 'GET /a/b HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    client: okay,
    differs: {
      why: 'to the target these may be two paths',
      target: { start: 'GET //a//b HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    },
  },
  {
    claim: 'a redirect with autoRewrite and protocolRewrite',
    options: { autoRewrite: true, protocolRewrite: 'https' },
    request: 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n',
    response: 'HTTP/1.1 307 Temporary Redirect\r\nLocation: http://TARGET/x?y\r\nContent-Length: 0\r\n\r\n',
    target: { start: 'GET / HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    client: {
      start: 'HTTP/1.1 307 Temporary Redirect',
      fields: { location: 'https://app.test/x?y', 'content-length': '0' },
      body: '',
    },
  },
  {
    claim: 'cookies that are rewritten',
    options: { cookieDomainRewrite: { 'old.test': 'new.test', '*': '' }, cookiePathRewrite: '/' },
    request: 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n',
    response:
      'HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Domain=old.test; Path=/x\r\nSet-Cookie: b=2; Domain=other.test; Secure\r\nContent-Length: 2\r\n\r\nok',
    target: { start: 'GET / HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    client: {
      start: 'HTTP/1.1 200 OK',
      fields: { 'set-cookie': 'a=1; Domain=new.test; Path=/ | b=2; Secure', 'content-length': '2' },
      body: 'ok',
    },
  },
  {
    claim: 'a client that speaks HTTP/1.0, and a response in chunks',
    options: {},
    request: 'GET / HTTP/1.0\r\nHost: app.test\r\n\r\n',
    response: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    target: { start: 'GET / HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    client: { start: 'HTTP/1.1 200 OK', fields: {}, body: 'ok' },
  },
  {
    claim: 'HEAD',
    options: {},
    request: 'HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n',
    response: 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n',
    target: { start: 'HEAD / HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    client: { start: 'HTTP/1.1 200 OK', fields: { 'content-length': '1234' }, body: '' },
  },
  {
    claim: 'a status of its own',
    options: {},
    request: 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n',
    response: 'HTTP/1.1 299 Quite Well\r\nContent-Length: 2\r\n\r\nok',
    target: { start: 'GET / HTTP/1.1', fields: { host: 'app.test' }, body: '' },
    client: { start: 'HTTP/1.1 299 Quite Well', fields: { 'content-length': '2' }, body: 'ok' },
  },
]

const byItself = new Set(['connection', 'keep-alive', 'date'])

/** Reads what arrived. */
export function arrived(text: string): Arrived {
  const end = text.indexOf('\r\n\r\n')
  const [start = '', ...lines] = text.slice(0, end).split('\r\n')
  const fields: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    if (!byItself.has(name)) fields[name] = fields[name] === undefined ? value : `${fields[name]} | ${value}`
  }
  return { start, fields, body: text.slice(end + 4) }
}
