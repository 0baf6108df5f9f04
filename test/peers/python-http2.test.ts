import { createHash } from 'node:crypto'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { http } from '../../src/http/index.ts'
import { TestAuthority } from '../support/certificates.ts'
import { withCore } from '../support/net.ts'
import { run } from '../support/programs.ts'

/**
 * The client: httpx, whose HTTP/2 is by `h2`. It asks for what is to be asked for, and prints what it has got as JSON. Without
 * a certificate's file it speaks HTTP/2 by prior knowledge, which httpx does where it may not speak HTTP/1.1.
 */
const client = `
import asyncio, hashlib, httpx, json, sys

url, ca = sys.argv[1], sys.argv[2]
options = {'http1': False} if ca == '' else {'verify': ca}
options |= {'http2': True, 'timeout': 10, 'trust_env': False}
big = bytes(range(256)) * 8000

def told(response):
    body = response.content
    return [response.http_version, response.status_code, len(body), hashlib.sha256(body).hexdigest()[:8]]

def pieces():
    for at in range(0, len(big), 10_000):
        yield big[at:at + 10_000]

got = {}
with httpx.Client(**options) as session:
    got['get'] = session.get(url + '/hello', headers={'x-name': 'python'}).text
    got['head'] = told(session.head(url + '/hello'))
    got['missing'] = told(session.get(url + '/missing'))
    got['post'] = told(session.post(url + '/echo', content=big))
    got['streamed'] = told(session.post(url + '/echo', content=pieces()))
    got['cookies'] = session.get(url + '/hello', cookies={'a': '1', 'b': '2'}).headers['x-cookie']
    got['pieces'] = []
    with session.stream('GET', url + '/slow') as response:
        for text in response.iter_text():
            if text == 'first':
                session.get(url + '/go')
            if text != '':
                got['pieces'].append(text)

async def together():
    async with httpx.AsyncClient(**options) as session:
        answers = await asyncio.gather(*[session.post(url + '/echo', content=b'%d' % at) for at in range(50)])
        return [answer.text for answer in answers]

got['together'] = asyncio.run(together())
print(json.dumps(got))
`

let upstream: Server
let slow: ServerResponse | undefined
let authority: TestAuthority
beforeAll(async () => {
  authority = new TestAuthority()
  upstream = createServer((incoming, response) => {
    const { url, headers } = incoming
    if (url === '/missing') response.writeHead(404).end('not here')
    else if (url === '/echo') incoming.pipe(response)
    else if (url === '/slow') {
      response.write('first')
      slow = response
    } else if (url === '/go') {
      // Whoever asks for it has the first piece.
      slow?.end('second')
      response.end()
    } else {
      const text = `hello ${headers['x-name']}`
      response.writeHead(200, { 'content-length': text.length, 'x-cookie': headers.cookie ?? '' }).end(text)
    }
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
})
afterAll(async () => {
  authority[Symbol.dispose]()
  upstream.closeAllConnections()
  await new Promise((resolve) => upstream.close(resolve))
})

describe("Python's httpx over HTTP/2", () => {
  it.each([
    'TLS',
    'prior knowledge',
  ])('by %s gets, posts and streams, one request after the other and many at once', async (way) => {
    const secure = way === 'TLS'
    await using core = withCore()
    const { port } = await core.listen({
      port: 0,
      host: '127.0.0.1',
      protocol: http({
        routes: [{ path: '/', upstream: `127.0.0.1:${(upstream.address() as AddressInfo).port}` }],
        http2: { cleartext: !secure },
      }),
      ...(secure ? { tls: authority.issue('localhost', '127.0.0.1').pem } : {}),
    })
    const url = `${secure ? 'https' : 'http'}://127.0.0.1:${port}`
    const printed = await run('/usr/bin/python3', ['-c', client, url, secure ? authority.ca.files.cert : ''])
    const big = Buffer.alloc(256 * 8_000, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)))
    const echoed = ['HTTP/2', 200, big.length, createHash('sha256').update(big).digest('hex').slice(0, 8)]
    expect(JSON.parse(printed.toString())).toEqual({
      get: 'hello python',
      head: ['HTTP/2', 200, 0, 'e3b0c442'],
      missing: ['HTTP/2', 404, 8, expect.any(String)],
      post: echoed,
      streamed: echoed,
      cookies: 'a=1; b=2',
      pieces: ['first', 'second'],
      together: Array.from({ length: 50 }, (_, at) => `${at}`),
    })
  })
})
