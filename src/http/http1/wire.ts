import { Fields } from '../fields.ts'
import { type Answer, ResponseHead } from '../messages.ts'
import { httpDate, OwnHead } from '../ready-head.ts'
import { statusLine } from './status-line.ts'

/** An answer as it goes over the wire, head and body in one piece, and where in it the date stands. */
interface Wire {
  readonly bytes: Buffer
  readonly dateAt: number
  date: string
}

/**
 * Longer bodies are not worth their copy: head and body leave in one write also when they are two. And what is longer
 * would be sent from here, where the date may change under it, while so little is copied first.
 */
const mostBody = 7 * 1024
const wires = new WeakMap<Answer, Wire | null>()

/**
 * The bytes of an answer that does not change, for a client that keeps its connection; made once, with today's date
 * put in whenever it is another. Undefined for an answer that cannot be sent so.
 */
export function wireOf(answer: Answer): Buffer | undefined {
  let wire = wires.get(answer)
  if (wire === undefined) {
    wire = makeWire(answer) ?? null
    wires.set(answer, wire)
  }
  if (wire === null) return undefined
  const date = httpDate()
  if (date !== wire.date) {
    wire.date = date
    if (wire.dateAt > 0) wire.bytes.write(date, wire.dateAt, 'latin1')
  }
  return wire.bytes
}

function makeWire(answer: Answer): Wire | undefined {
  const { body } = answer
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  if (!(bytes instanceof Uint8Array) || bytes.length > mostBody || answer.status === 304 || answer.status === 204) {
    return undefined
  }
  const head = new ResponseHead(answer.status, '', '1.1', new Fields(answer.headers))
  const own = head.headers.has('date')
  const block = new OwnHead(head).block()
  const text = `${statusLine(answer.status, '')}${block}content-length: ${bytes.length}\r\n\r\n`
  if (text.length + bytes.length > 8 * 1024) return undefined
  const date = httpDate()
  const dateAt = own ? 0 : statusLine(answer.status, '').length + block.length - 2 - date.length
  return { bytes: Buffer.concat([Buffer.from(text, 'latin1'), bytes]), dateAt, date }
}
