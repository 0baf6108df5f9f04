import { Fields } from '../fields.ts'
import { type Answer, ResponseHead } from '../messages.ts'
import { httpDate, OwnHead } from '../ready-head.ts'
import { statusLine } from './status-line.ts'

/** An answer as it goes over the wire, head and body in one piece, and where in it the date stands. */
interface Wire {
  bytes: Buffer
  readonly dateAt: number
  date: string
}

/** Longer ones are sent as head and body, from where they are. */
const mostBody = 256 * 1024
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
    if (wire.dateAt > 0) {
      // The former bytes may be in flight, and must stay as they are.
      wire.bytes = Buffer.from(wire.bytes)
      wire.bytes.write(date, wire.dateAt, 'latin1')
    }
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
  const date = httpDate()
  const dateAt = own ? 0 : statusLine(answer.status, '').length + block.length - 2 - date.length
  return { bytes: Buffer.concat([Buffer.from(text, 'latin1'), bytes]), dateAt, date }
}
