import { describe, it } from 'vitest'
import { http } from '../../../src/http/http.ts'
import type { ClientSession, Connection } from '../../../src/index.ts'
import { sessionContract } from '../../../src/testing/index.ts'
import { encodeFields } from '../../support/hpack.ts'
import { clientPreface, END_HEADERS, END_STREAM, frame } from '../../support/http2-frames.ts'
import { request } from '../../support/http2-wire.ts'

describe('A session of HTTP/2', () => {
  const protocol = http({ routes: [{ reply: { status: 200, body: 'pong' } }] })
  const claims = sessionContract({
    protocol(client: Connection) {
      // As if it had been chosen by ALPN.
      Object.defineProperty(client, 'tls', { value: { alpn: 'h2' } })
      return protocol(client) as ClientSession
    },
    async exchange(client) {
      const head = frame('HEADERS', END_HEADERS | END_STREAM, 1, encodeFields(request()))
      await client.write(Buffer.concat([clientPreface, frame('SETTINGS', 0, 0), head]))
      await client.read('pong')
    },
  })
  for (const { name, run } of claims) it(name, run)
})
