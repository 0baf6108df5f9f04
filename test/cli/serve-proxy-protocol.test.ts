import { describe, expect, it } from 'vitest'
import { Cli, said } from '../support/cli.ts'
import { dial, TestServer } from '../support/net.ts'

describe('xps serve with the PROXY protocol', () => {
  it('believes those that it is told to, and tells upstreams on', async () => {
    await using server = await TestServer.start((peer) => {
      void peer.read('\r\n').then((line) => peer.end(line))
    })
    const options = ['--proxy-protocol', '10.0.0.0/8,loopback', '--proxy-protocol', '::1', '--send-proxy', '1']
    await using cli = new Cli(['serve', '--upstream', `127.0.0.1:0=${server.address}`, ...options])
    const [, port] = await cli.line(/listening on 127\.0\.0\.1:(\d+)/)
    const client = await dial(Number(port))
    const header = 'PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n'
    await client.write(header)
    expect(await client.text()).toBe(header)
    client.end()
  })

  it('tells upstreams of --http', async () => {
    await using server = await TestServer.start((peer) => {
      void peer
        .read('\r\n')
        .then((line) => peer.end(`HTTP/1.1 200 OK\r\nContent-Length: ${line.length}\r\n\r\n${line}`))
    })
    await using cli = new Cli(['serve', '--http', `127.0.0.1:0=http://${server.address}`, '--send-proxy', '1'])
    const [, port] = await cli.line(/listening on 127\.0\.0\.1:(\d+)/)
    const answer = await fetch(`http://127.0.0.1:${port}/`)
    expect(await answer.text()).toMatch(/^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n$/)
  })

  it.each([
    [['--http', '0=.', '--send-proxy', '1'], '--send-proxy is for --upstream'],
    [['--upstream', '0=127.0.0.1:1', '--send-proxy', '3'], "--send-proxy must be 1 or 2, got '3'"],
    [['--upstream', '0=127.0.0.1:1', '--proxy-protocol', 'everybody'], 'trusted must be made of addresses'],
    [['--upstream', '0=127.0.0.1:1', '--proxy-protocol', ''], 'trusted must be made of addresses'],
  ])('says what is wrong: %j', async (args, message) => {
    const { code, stderr } = await said(['serve', ...args])
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })
})
