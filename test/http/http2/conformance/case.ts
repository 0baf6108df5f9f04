import { expect } from 'vitest'
import { ACK, type ErrorCode, frameTypes } from '../../../support/http2-frames.ts'
import type { Http2Wire, WireOptions } from '../../../support/http2-wire.ts'

/** What must come of it. */
export interface Expectation {
  readonly text: string
  /** Throws if it did not; says what came, in few words, of what is left open. */
  check(wire: Http2Wire): Promise<string>
}

/** One rule of a specification: what a client sends, and what must come of it. */
export interface ConformanceCase {
  /** Such as '9113 5.1'; the numbers of the RFC and of its section. */
  readonly section: string
  readonly name: string
  readonly send: (wire: Http2Wire) => void | Promise<void>
  readonly expect: Expectation
  readonly options?: WireOptions
  /** What node:http2 does in another way, that nobody outside can change; `expect` allows it. */
  readonly limit?: string
  /** Whether a request may reach the application in whole. Default: only if the case expects an answer. */
  readonly reaches?: boolean
}

/**
 * Node 20 (without xps) says INTERNAL_ERROR in place of some codes, and after others leaves the connection open, without reading it any
 * more; it ends when it is idle for too long.
 */
const oldNode = Number(process.versions.node.split('.')[0]) < 22

async function expectClosed(wire: Http2Wire, wanted: readonly ErrorCode[]): Promise<string> {
  const codes = oldNode ? [...wanted, 'INTERNAL_ERROR', 'PROTOCOL_ERROR'] : wanted
  await wire.until('an error of the connection', () => wire.dead)
  const ending = oldNode ? (wire.goneAway ?? { kind: 'closed' }) : await wire.over()
  expect(ending, wire.transcript()).toMatchObject({ kind: 'goaway' })
  const code = ending.kind === 'goaway' ? ending.code : ''
  expect(codes, wire.transcript()).toContain(code)
  return `GOAWAY ${code}`
}

/** RFC 9113 5.4.1: GOAWAY with one of the codes, and then the end of the connection. */
export function connectionError(...codes: ErrorCode[]): Expectation {
  return { text: `connection error ${codes.join(' or ')}`, check: (wire) => expectClosed(wire, codes) }
}

/** The same, where the end of the connection need not be explained (RFC 9113 3.4). */
export function connectionEnds(...codes: ErrorCode[]): Expectation {
  return {
    text: `the connection ends, with ${codes.join(' or ')} if anything is said`,
    async check(wire) {
      const ending = await wire.over()
      if (ending.kind === 'goaway' && !oldNode) expect(codes).toContain(ending.code)
      return ending.kind
    },
  }
}

/** RFC 9113 5.4.2: RST_STREAM with one of the codes, or by 5.4 the same as an error of the connection. */
export function streamError(stream: number, ...codes: ErrorCode[]): Expectation {
  return {
    text: `stream error ${codes.join(' or ')}`,
    async check(wire) {
      const ending = await wire.ending(stream)
      if (ending.kind === 'goaway' || (oldNode && wire.dead)) return expectClosed(wire, codes)
      expect(ending, wire.transcript()).toMatchObject({ kind: 'reset' })
      expect(codes, wire.transcript()).toContain((ending as { code: string }).code)
      expect(await wire.alive(), wire.transcript()).toBe(true)
      return `RST_STREAM ${(ending as { code: string }).code}`
    },
  }
}

/**
 * RFC 9113 8.1.1: RST_STREAM with PROTOCOL_ERROR, or an error of the connection with one of the codes; before it a 4xx
 * may be answered.
 */
export function malformed(stream = 1, ...codes: ErrorCode[]): Expectation {
  return {
    text: 'malformed: stream error PROTOCOL_ERROR, or a 4xx',
    async check(wire) {
      const ending = await wire.ending(stream)
      const status = wire.stream(stream).status
      if (status >= 400 && status < 500) return `answer ${status}`
      if (ending.kind === 'goaway') return expectClosed(wire, ['PROTOCOL_ERROR', ...codes])
      expect(ending, `status ${status}, ${wire.transcript()}`).toEqual({ kind: 'reset', code: 'PROTOCOL_ERROR' })
      expect(await wire.alive(), wire.transcript()).toBe(true)
      return 'RST_STREAM PROTOCOL_ERROR'
    },
  }
}

/** As {@link malformed}, or answered by the echo of its fields, in which the wrong one is not. */
export function malformedOrDropped(): Expectation {
  return {
    text: 'malformed, or served without the field',
    async check(wire) {
      if ((await wire.ending(1)).kind !== 'message' || wire.stream(1).status !== 200) return malformed().check(wire)
      expect(wire.stream(1).body).not.toMatch(/na.?me|va.?lue/)
      return 'dropped'
    },
  }
}

/** The request on a stream is answered as if nothing else had been sent. */
export function answered(stream: number, body?: string | RegExp): Expectation {
  return {
    text: `stream ${stream} is answered`,
    async check(wire) {
      const answer = await wire.response(stream)
      expect(answer.status, wire.transcript()).toBe(200)
      if (body !== undefined) expect(answer.body).toMatch(body)
      expect(wire.goneAway).toBeUndefined()
      return 'answer 200'
    },
  }
}

/** Nothing comes of it: the connection answers what is asked next. */
export function ignored(next = 1001): Expectation {
  return {
    text: 'it is ignored',
    async check(wire) {
      expect(await wire.alive(), wire.transcript()).toBe(true)
      wire.get(next)
      expect((await wire.response(next)).status).toBe(200)
      expect(wire.goneAway).toBeUndefined()
      return 'ignored'
    },
  }
}

/**
 * RFC 9113 5.1 on closed streams: an error of the connection with one of the codes, or it is discarded. RFC 7540, and the
 * public suite with it, wanted the error.
 */
export function errorOrIgnored(stream: number, ...codes: ErrorCode[]): Expectation {
  return {
    text: `${codes.join(' or ')}, or discarded`,
    async check(wire) {
      const before = wire.stream(stream).reset
      const lives = await wire.alive()
      if (lives) {
        const { reset } = wire.stream(stream)
        if (reset === undefined || reset === before)
          return (await ignored().check(wire)).replace('ignored', 'discarded')
        expect(codes).toContain(reset)
        return `RST_STREAM ${reset}`
      }
      return expectClosed(wire, codes)
    },
  }
}

/** What has no name of its own. */
export function that(text: string, check: (wire: Http2Wire) => Promise<string | undefined>): Expectation {
  return {
    text,
    async check(wire) {
      return (await check(wire)) ?? 'so it is'
    },
  }
}

/** How many frames of a kind came, acknowledgements apart. */
export function count(wire: Http2Wire, name: keyof typeof frameTypes, ack = false): number {
  return wire.frames.filter(({ type, flags }) => {
    const acknowledges = (name === 'SETTINGS' || name === 'PING') && (flags & ACK) !== 0
    return type === frameTypes[name] && acknowledges === ack
  }).length
}

export const megabyte = 1_048_576
