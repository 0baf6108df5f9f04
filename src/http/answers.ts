import { STATUS_CODES } from 'node:http'
import { XpsError } from '../errors.ts'
import type { Answer } from './messages.ts'

/** The phrase that usually goes with a status. */
export function reasonPhrase(status: number): string {
  return STATUS_CODES[status] ?? ''
}

/** A status and its phrase, as a line of text. */
export function statusAnswer(status: number, others: Readonly<Record<string, string>> = {}): Answer {
  const answer: Answer = { status }
  checkAnswer(answer)
  if (status === 204 || status === 304) return answer
  const headers = { 'content-type': 'text/plain; charset=utf-8', ...others }
  return { status, headers, body: `${status} ${reasonPhrase(status)}\n` }
}

/** Throws `XPS_FAULT` for what cannot be sent as an answer. */
export function checkAnswer(answer: Answer): Answer {
  if (typeof answer !== 'object' || answer === null || !Number.isInteger(answer.status)) {
    throw new XpsError('XPS_FAULT', 'the answer is none, or has no status')
  }
  if (answer.status < 200 || answer.status > 599)
    throw new XpsError('XPS_FAULT', `${answer.status} is no status of an answer`)
  return answer
}
