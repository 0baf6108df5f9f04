import { XpsError } from '../../errors.ts'
import type { Fields } from '../fields.ts'
import type { HeadLimits } from '../http1/head-reader.ts'
import { ResponseHead } from '../messages.ts'
import { fieldsOf, pseudoOf } from './wire-fields.ts'

/** What a field costs besides its name and value (RFC 9113, 6.5.2). */
const fieldCost = 32

/** A response as it came, which node:http2 has checked in part; throws `XPS_BAD_RESPONSE` for what cannot be one. */
export function responseHead(raw: readonly string[], limits: HeadLimits): ResponseHead {
  const status = pseudoOf(raw, ':status') ?? ''
  if (!/^[1-9]\d\d$/.test(status)) throw badResponse('no status')
  return new ResponseHead(Number(status), '', '2', checkedFields(raw, limits))
}

/** Fields of a head or of trailers of a response. */
export function checkedFields(raw: readonly string[], limits: HeadLimits): Fields {
  let size = 0
  for (const text of raw) size += text.length
  if (size + (raw.length / 2) * fieldCost > limits.headBytes + fieldCost * limits.fields) {
    throw badResponse('a head that is too long')
  }
  // `:status` is none.
  if (raw.length / 2 > limits.fields + 1) throw badResponse('too many fields')
  let fields: Fields
  try {
    fields = fieldsOf(raw)
  } catch {
    throw badResponse('a field that cannot be')
  }
  for (const name of forOneHop)
    if (fields.has(name)) throw badResponse(`the field '${name}', which HTTP/2 does not have`)
  return fields
}

/** How long the body is said to be; less than 0 if nobody says. */
export function declaredLength(headers: Fields): number {
  const given = headers.get('content-length')
  if (given === undefined) return -2
  // Fifteen digits are a petabyte, and exact in a number.
  if (!/^\d{1,15}$/.test(given)) throw badResponse('a length that is none')
  return Number(given)
}

export function badResponse(what: string): XpsError {
  return new XpsError('XPS_BAD_RESPONSE', `the upstream's response has ${what}`, { origin: 'upstream', status: 502 })
}

/** A response that has one of them is malformed (RFC 9113, 8.2.2). */
const forOneHop = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']
