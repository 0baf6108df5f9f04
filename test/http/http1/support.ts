import { expect } from 'vitest'
import { XpsError } from '../../../src/errors.ts'
import type { Fields } from '../../../src/http/fields.ts'
import { ChunkedDecoder } from '../../../src/http/http1/chunked-decoder.ts'
import {
  chunked,
  defaultHeadLimits,
  type HeadLimits,
  incomplete,
  untilClose,
} from '../../../src/http/http1/head-reader.ts'
import { RequestReader } from '../../../src/http/http1/request-reader.ts'
import { ResponseReader } from '../../../src/http/http1/response-reader.ts'

/** Fields as they were spelled, in order. */
export type FieldList = [name: string, value: string][]

/** What a request says, by our codec. */
export interface RequestRead {
  method: string
  target: string
  version: string
  authority: string
  fields: FieldList
  /** What the head says of the body: bytes, or `chunked`. */
  length: number
  keepAlive: boolean
  upgrade: string | undefined
  expectsContinue: boolean
  /** As latin1. */
  body: string
  trailers: FieldList
}

/** What a response says, by our codec. */
export interface ResponseRead {
  status: number
  reason: string
  version: string
  fields: FieldList
  /** What the head says of the body: bytes, `chunked` or `untilClose`. */
  length: number
  keepAlive: boolean
  upgrade: string | undefined
  body: string
  trailers: FieldList
}

/** What became of some bytes. */
export interface Reading<Message> {
  /** Those that were complete. */
  messages: Message[]
  /** One whose head was complete, and what there was of its body. */
  partial: Message | undefined
  /** Where reading stood at the end: between messages, in a head, in a body, or at an error. */
  stands: 'between' | 'head' | 'body' | 'error'
  /** Why it stopped. */
  error: { status: number | undefined; code: string; origin: string } | undefined
  /** How many bytes the complete messages are. */
  bytes: number
}

/** Reads requests until the bytes are used up, one is refused, or the connection has another use. */
export function readRequests(pieces: readonly Buffer[], limits: HeadLimits = defaultHeadLimits): Reading<RequestRead> {
  const reader = new RequestReader(limits)
  return readAll(pieces, {
    of: 'request',
    limits,
    read: (chunk, at) => reader.read(chunk, at),
    isEmpty: () => reader.empty,
    message: () => ({
      method: reader.head.method,
      target: reader.head.target,
      version: reader.head.version,
      authority: reader.head.authority,
      fields: [...reader.head.headers],
      length: reader.length,
      keepAlive: reader.keepAlive,
      upgrade: reader.upgrade,
      expectsContinue: reader.expectsContinue,
      body: '',
      trailers: [],
    }),
    last: (message) => !message.keepAlive || message.upgrade !== undefined || message.method === 'CONNECT',
  })
}

/** Reads what answers requests with these methods (a GET for each that is not said), up to an end of the connection. */
export function readResponses(
  pieces: readonly Buffer[],
  methods: readonly string[] = [],
  limits: HeadLimits = defaultHeadLimits,
): Reading<ResponseRead> {
  const reader = new ResponseReader(limits)
  let answered = 0
  return readAll(pieces, {
    of: 'response',
    limits,
    read: (chunk, at) => {
      reader.forHead = methods[answered] === 'HEAD'
      return reader.read(chunk, at)
    },
    isEmpty: () => reader.empty,
    message: () => {
      if (reader.head.status >= 200) answered++
      return {
        status: reader.head.status,
        reason: reader.head.reason,
        version: reader.head.version,
        fields: [...reader.head.headers],
        length: reader.length,
        keepAlive: reader.keepAlive,
        upgrade: reader.upgrade,
        body: '',
        trailers: [],
      }
    },
    last: (message) => (message.status >= 200 && !message.keepAlive) || message.status === 101,
  })
}

interface Codec<Message> {
  of: 'request' | 'response'
  limits: HeadLimits
  read(chunk: Buffer, at: number): number
  isEmpty(): boolean
  message(): Message
  /** Nothing that follows the message is for the codec. */
  last(message: Message): boolean
}

function readAll<Message extends { length: number; body: string; trailers: FieldList }>(
  pieces: readonly Buffer[],
  codec: Codec<Message>,
): Reading<Message> {
  const reading: Reading<Message> = {
    messages: [],
    partial: undefined,
    stands: 'between',
    error: undefined,
    bytes: 0,
  }
  const memory = Buffer.allocUnsafe(pieces.reduce((most, piece) => Math.max(most, piece.length), 0))
  let current: Message | undefined
  let decoder: ChunkedDecoder | undefined
  let left = 0
  let before = 0
  let over = false
  const complete = (message: Message, at: number): void => {
    reading.messages.push(message)
    reading.bytes = before + at
    over = codec.last(message)
    current = decoder = undefined
  }
  try {
    for (const piece of pieces) {
      // What is read is borrowed: it is good during the call, and something else afterwards.
      const chunk = memory.subarray(0, piece.copy(memory))
      let at = 0
      while (at < chunk.length && !over) {
        if (current === undefined) {
          const end = codec.read(chunk, at)
          if (end === incomplete) break
          if (end <= at || end > chunk.length) throw new Error(`a head from ${at} cannot end at ${end}`)
          at = end
          current = codec.message()
          left = current.length
          if (left === chunked) decoder = new ChunkedDecoder(codec.of, codec.limits)
          else if (left === 0) complete(current, at)
        } else if (decoder !== undefined) {
          const stop = decoder.step(chunk, at)
          const { start, end } = decoder
          if (stop <= at || stop > chunk.length) throw new Error(`a step from ${at} cannot end at ${stop}`)
          if (start > end || end > stop || (end > start && start < at)) throw new Error(`no data at ${start} to ${end}`)
          current.body += chunk.toString('latin1', decoder.start, decoder.end)
          at = stop
          if (decoder.done) {
            current.trailers = [...decoder.trailers]
            complete(current, at)
          }
        } else {
          const stop = left === untilClose ? chunk.length : Math.min(chunk.length, at + left)
          current.body += chunk.toString('latin1', at, stop)
          if (left !== untilClose) left -= stop - at
          at = stop
          if (left === 0) complete(current, at)
        }
      }
      chunk.fill(0xa5)
      before += chunk.length
    }
    if (current !== undefined && current.length === untilClose) complete(current, 0)
  } catch (error) {
    if (!(error instanceof XpsError)) throw error
    reading.error = { status: error.status, code: error.code, origin: error.origin }
  }
  reading.partial = current
  if (reading.error !== undefined) reading.stands = 'error'
  else if (current !== undefined) reading.stands = 'body'
  else if (!codec.isEmpty()) reading.stands = 'head'
  return reading
}

/** In one piece. */
export function whole(bytes: Buffer): Buffer[] {
  return [bytes]
}

/** In two pieces. */
export function cut(bytes: Buffer, at: number): Buffer[] {
  return [bytes.subarray(0, at), bytes.subarray(at)]
}

/** A byte at a time. */
export function byteByByte(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
}

/** In pieces that end where `cuts` says. */
export function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((at) => Math.min(at, bytes.length)))].sort((a, b) => a - b)
  return [...places, bytes.length].map((end, index) => bytes.subarray(places[index - 1] ?? 0, end))
}

/** Short messages are cut everywhere; of long ones, where something begins or ends, and here and there. */
function places(length: number): number[] {
  const all = Array.from({ length: Math.max(0, length - 1) }, (_, at) => at + 1)
  return length <= 1_200 ? all : all.filter((at) => at < 48 || at > length - 48 || at % 1009 === 0)
}

/**
 * Reads the bytes whole, split at every byte, and byte by byte; fails if what comes out is not always the same.
 */
export function readEveryWay<T>(bytes: Buffer, read: (pieces: Buffer[]) => T): T {
  const expected = read(whole(bytes))
  const text = JSON.stringify(expected)
  for (const at of places(bytes.length)) {
    const result = read(cut(bytes, at))
    if (JSON.stringify(result) !== text) expect(result, `in two pieces, cut at ${at}`).toEqual(expected)
  }
  const result = read(byteByByte(bytes))
  if (JSON.stringify(result) !== text) expect(result, 'byte by byte').toEqual(expected)
  return expected
}

/** Bytes as text without surprises, for the name of a test. */
export function visible(bytes: Buffer, most = 100): string {
  const text = JSON.stringify(bytes.toString('latin1'))
  return text.length > most ? `${text.slice(0, most)}…` : text
}

/** Fields as lines of a head. */
export function lines(fields: Fields | FieldList): string {
  return [...fields].map(([name, value]) => `${name}: ${value}\r\n`).join('')
}
