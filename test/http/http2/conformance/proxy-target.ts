import { Backend, type Message, ok, proxy } from '../../e2e/support.ts'
import type { Target } from './node-server.ts'

const long = ok('x'.repeat(200_000))
const fixed = ok('what is answered to everybody')

function answer(request: Message): string | undefined {
  if (request.method === 'HEAD') return 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
  switch (request.target) {
    case '/hold':
      return undefined
    case '/echo':
      return ok(request.body)
    case '/long':
      return long
    case '/empty':
      return ok('')
    case '/fields': {
      const lines = request.fields.map(([name, value]) => `${name.toLowerCase()}: ${value}\n`).join('')
      // One byte for each character, as it is sent.
      return `HTTP/1.1 200 OK\r\nContent-Length: ${lines.length}\r\n\r\n${lines}`
    }
    default:
      return fixed
  }
}

/** A proxy to an HTTP/1.1 upstream, which answers as the cases want it. */
export async function proxyTarget(): Promise<Target> {
  const backend = await Backend.start(answer)
  const served = await proxy(backend, { http2: { cleartext: true } })
  return {
    port: served.port,
    reached: () => backend.requests.length,
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]()
      await backend[Symbol.asyncDispose]()
    },
  }
}
