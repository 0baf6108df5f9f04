import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { createProxyServer } from '../../src/http-proxy/index.ts'
import { dial, TestServer } from '../support/net.ts'
import { type Arrived, arrived, documented } from './documented.ts'
import { TestHttp } from './support.ts'

/** What http-proxy and we have in common. */
interface Face {
  web(req: IncomingMessage, res: ServerResponse): unknown
}

describe('as http-proxy does', () => {
  it.each(documented)('$claim', async ({ options, request, response, target, client, differs }) => {
    await using upstream = await TestServer.start()
    const proxy: Face & AsyncDisposable = createProxyServer({ target: `http://${upstream.address}`, ...options })
    await using front = await TestHttp.start(createServer((req, res) => void proxy.web(req, res)))
    const peer = await dial(front.port)
    const expected = (what: Arrived): Arrived =>
      JSON.parse(JSON.stringify(what).replaceAll('TARGET', upstream.address)) as Arrived
    // The last request of its connection, so that an end follows the response.
    await peer.write(
      request.replace(/(Connection: )|(\r\n\r\n)/, (_, named) =>
        named ? `${named}close, ` : '\r\nConnection: close\r\n\r\n',
      ),
    )
    const behind = await upstream.accept()
    const wanted = expected(differs?.target ?? target)
    const head = await behind.read('\r\n\r\n')
    const body = wanted.body === '' ? '' : await behind.read(wanted.body)
    await behind.write(response.replaceAll('TARGET', upstream.address))
    if (response.includes('Transfer-Encoding') === false) behind.end()
    expect(arrived(head + body)).toEqual(wanted)
    expect(arrived(await peer.text())).toEqual(expected(differs?.client ?? client))
    peer.end()
    await proxy[Symbol.asyncDispose]()
  })
})
