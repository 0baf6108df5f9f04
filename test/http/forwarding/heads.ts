import { Fields, type FieldsInit } from '../../../src/http/fields.ts'
import { defaultHeadLimits } from '../../../src/http/http1/head-reader.ts'
import { RequestReader } from '../../../src/http/http1/request-reader.ts'
import { ResponseReader } from '../../../src/http/http1/response-reader.ts'
import type { RequestHead, ResponseHead } from '../../../src/http/messages.ts'

/** A request's head as the decoder reads it from lines. */
export function parsed(...lines: readonly string[]): RequestHead {
  const reader = new RequestReader(defaultHeadLimits)
  const bytes = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  if (reader.read(bytes, 0) !== bytes.length) throw new Error('no head')
  return reader.head
}

/** A GET with a host and the given fields. */
export function get(...fields: readonly string[]): RequestHead {
  return parsed('GET /x HTTP/1.1', 'Host: app.test', ...fields)
}

/** A response's head as the decoder reads it. */
export function answer(status: number, ...fields: readonly string[]): ResponseHead {
  const reader = new ResponseReader(defaultHeadLimits)
  const bytes = Buffer.from(`HTTP/1.1 ${status} OK\r\n${[...fields, ''].join('\r\n')}\r\n`, 'latin1')
  if (reader.read(bytes, 0) !== bytes.length) throw new Error('no head')
  return reader.head
}

/** The same fields as a list that is no parsed block any more, as hooks leave it. */
export function asList(headers: Fields): Fields {
  return new Fields([...headers])
}

/** The lines of a block; it has to end as each of them does. */
export function linesOf(block: string): string[] {
  if (block === '') return []
  if (!block.endsWith('\r\n')) throw new Error('the last line has no end')
  return block.slice(0, -2).split('\r\n')
}

/** What a server reads from a block. */
export function readBlock(block: string): [name: string, value: string][] {
  return [...answer(200, ...linesOf(block)).headers]
}

export function fieldsFrom(init: FieldsInit): Fields {
  return new Fields(init)
}
