// @ts-check
// Rewriting a body on its way: in pages of the upstream, one word becomes another. Nothing is gathered but a few letters.
//
// Run:     node examples/rewrite-body.js 8083
// Try it:  curl -i --compressed http://127.0.0.1:8083/
import { createServer } from 'node:http'
import { Transform } from 'node:stream'
import { Core } from 'xps'
import { http } from 'xps/http'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8083)

/** Replaces a word, also where it lies across two chunks. @param {string} word @param {string} by */
function replacing(word, by) {
  let rest = ''
  return new Transform({
    transform(chunk, _, done) {
      const pieces = (rest + chunk.toString('latin1')).split(word)
      const last = pieces.pop() ?? ''
      const sure = Math.max(0, last.length - word.length + 1)
      rest = last.slice(sure)
      done(null, Buffer.from(pieces.map((piece) => piece + by).join('') + last.slice(0, sure), 'latin1'))
    },
    flush: (done) => done(null, Buffer.from(rest, 'latin1')),
  })
}

/** @type {import('xps/http').Hooks} */
const hooks = {
  // The body must come as it is: not compressed, and whole.
  request({ request }) {
    for (const name of ['accept-encoding', 'range']) request.headers.delete(name)
  },
  // What the upstream says of its bytes is not true of ours. The length is left out by itself.
  response: ({ response }) => void response?.headers.delete('etag'),
  responseBody({ response }) {
    return response?.headers.get('content-type')?.startsWith('text/html') ? replacing('teh', 'the') : undefined
  },
}

const page = '<p>This is teh page.\n<p>And teh end.\n'
const upstream = createServer((_, response) => response.setHeader('content-type', 'text/html').end(page))
const core = new Core()
const { address } = await core.listen({ host: '127.0.0.1', port, protocol: http({ routes: [{ upstream }], hooks }) })
console.log(`correcting http://${address}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
