import { Fields } from '../fields.ts'
import { type Answer, ResponseHead } from '../messages.ts'
import { httpDate, OwnHead } from '../ready-head.ts'
import { type NodeFields, responseFields } from './response-head.ts'

/** An answer that is used again and again, as it is handed to `node:http2`. */
export interface SentAnswer {
  fields: NodeFields
  readonly body: Uint8Array
  /** Whether it says a date that is not its own. */
  readonly dated: boolean
  date: string
}

const made = new WeakMap<Answer, SentAnswer | null>()

/** What is sent of an answer that does not change: made once, and anew when the date is another. Undefined for a source. */
export function sentAnswer(answer: Answer): SentAnswer | undefined {
  let sent = made.get(answer)
  if (sent === undefined) {
    sent = make(answer) ?? null
    made.set(answer, sent)
  }
  if (sent === null) return undefined
  const date = httpDate()
  if (sent.dated && sent.date !== date) {
    sent.date = date
    // The former list may still be somebody's.
    sent.fields = fieldsOf(answer, sent.body.length)
  }
  return sent
}

function make(answer: Answer): SentAnswer | undefined {
  const { body, status } = answer
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  if (!(bytes instanceof Uint8Array) || status === 204 || status === 205 || status === 304) return undefined
  const dated = !new Fields(answer.headers).has('date')
  return { fields: fieldsOf(answer, bytes.length), body: bytes, dated, date: httpDate() }
}

function fieldsOf(answer: Answer, length: number): NodeFields {
  return responseFields(new OwnHead(new ResponseHead(answer.status, '', '2', new Fields(answer.headers))), length)
}
