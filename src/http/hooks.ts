import { isPromiseLike } from '../lifetime/owned.ts'
import type { Stage } from '../pipe/stage.ts'
import type { HttpSession } from './session.ts'
import type { Transaction } from './transaction.ts'

/** What a hook returns; while it is a promise that is not settled, the session or transaction waits. */
export type Held = void | Promise<void>

/**
 * What a host program does at the points that every session and transaction passes, in the order in which they come.
 *
 * At each point those of all sessions run first, then those of the session, then those of the transaction, each in the
 * order in which they were added. A hook that throws, or rejects, fails the transaction: 500, or the `status` of what
 * it threw. At the two closes that changes nothing, and is told as a fault.
 */
export interface Hooks {
  /** The connection is there, and no byte of it has been looked at. Failing closes it without an answer. */
  sessionStart?(session: HttpSession): Held
  /** A request has begun: its head is there. The first point at which hooks of a transaction can be added. */
  transactionStart?(transaction: Transaction): Held
  /** The request's head may be looked at, edited and answered. */
  request?(transaction: Transaction): Held
  /** A route is about to be chosen; the host, path and method as they are now decide. */
  beforeRouting?(transaction: Transaction): Held
  /** The route is chosen, and may be replaced. */
  afterRouting?(transaction: Transaction): Held
  /** The upstream is chosen, and may be replaced. Once for each attempt. */
  upstream?(transaction: Transaction): Held
  /** There is a connection to the upstream, and the request is about to be sent. Once for each attempt. */
  requestSend?(transaction: Transaction): Held
  /** The head of the upstream's response is there. */
  response?(transaction: Transaction): Held
  /** The head of the response is about to be sent, wherever it is from. */
  responseSend?(transaction: Transaction): Held
  /** Returns what the request's body is to pass on its way to whoever answers. */
  requestBody?(transaction: Transaction): Stage | readonly Stage[] | undefined
  /** Returns what the response's body is to pass on its way to the client. */
  responseBody?(transaction: Transaction): Stage | readonly Stage[] | undefined
  /** Sees a piece of the request's body as it passes. It is valid during the call only. */
  requestChunk?(transaction: Transaction, chunk: Uint8Array): void
  /** Sees a piece of the response's body, as the client gets it. It is valid during the call only. */
  responseChunk?(transaction: Transaction, chunk: Uint8Array): void
  /** Once for each transaction, when all of it is over. */
  transactionClose?(transaction: Transaction): Held
  /** Once for each session, after its last transaction. */
  sessionClose?(session: HttpSession): Held
}

/** The name of a point. */
export type HookPoint = keyof Hooks

/** The points in their order. */
export const hookPoints: readonly HookPoint[] = [
  'sessionStart',
  'transactionStart',
  'request',
  'beforeRouting',
  'afterRouting',
  'upstream',
  'requestSend',
  'response',
  'responseSend',
  'requestBody',
  'responseBody',
  'requestChunk',
  'responseChunk',
  'transactionClose',
  'sessionClose',
]

/** A function that somebody has hooked in. */
export type Hook = (...args: never[]) => unknown

/** The number of each point: its place in the list, and which bit stands for it. */
const numbers = new Map(hookPoints.map((point, index) => [point, index]))

/** @internal */
export function numberOfPoint(point: HookPoint): number {
  return numbers.get(point) as number
}

/** The bits of some points. */
export function bitsOfPoints(...points: readonly HookPoint[]): number {
  return points.reduce((sum, point) => sum | (1 << numberOfPoint(point)), 0)
}

/** The hooks of one scope: of all sessions, of one session or of one transaction. */
export class HookScope {
  /** A bit for each point that it has hooks for. */
  points = 0
  /** By the numbers of the points. */
  #hooks: (Hook[] | undefined)[] | undefined

  /** Adds hooks behind those that there are. */
  add(hooks: Hooks): this {
    for (const [number, point] of hookPoints.entries()) {
      const hook = hooks[point]
      if (hook === undefined) continue
      this.#hooks ??= new Array<Hook[] | undefined>(hookPoints.length).fill(undefined)
      // Bound to the object that it came in, as a method of it expects.
      const bound = (hook as Hook).bind(hooks)
      const list = this.#hooks[number]
      if (list === undefined) this.#hooks[number] = [bound]
      else list.push(bound)
      this.points |= 1 << number
    }
    return this
  }

  at(number: number): readonly Hook[] | undefined {
    return this.#hooks === undefined ? undefined : this.#hooks[number]
  }
}

/** A transaction: its own hooks are looked up when they are needed, since one of another scope may add the first. */
export interface HookHolder {
  readonly hooks: HookScope | undefined
}

/** Runs what the three scopes have for a point, by its number, in order. Returns a promise only if one of them does. */
export function runHooks(
  point: number,
  all: HookScope,
  session: HookScope,
  transaction: HookHolder | undefined,
  subject: unknown,
): Promise<void> | undefined {
  for (let scope = 0; scope < 3; scope++) {
    const hooks = scope === 0 ? all : scope === 1 ? session : transaction?.hooks
    if (hooks === undefined || ((hooks.points >>> point) & 1) === 0) continue
    const list = hooks.at(point) as readonly Hook[]
    // Its length is looked at each time: a hook may add another behind itself.
    for (let index = 0; index < list.length; index++) {
      const held = (list[index] as (subject: unknown) => unknown)(subject)
      if (held !== undefined && isPromiseLike(held)) {
        return runRest(held, point, [{ hooks: all }, { hooks: session }, transaction], scope, index + 1, subject)
      }
    }
  }
  return undefined
}

async function runRest(
  held: PromiseLike<unknown>,
  point: number,
  scopes: readonly (HookHolder | undefined)[],
  from: number,
  next: number,
  subject: unknown,
): Promise<void> {
  await held
  let start = next
  for (let scope = from; scope < scopes.length; scope++) {
    for (let index = start; ; index++) {
      const hook = scopes[scope]?.hooks?.at(point)?.[index]
      if (hook === undefined) break
      await (hook as (subject: unknown) => unknown)(subject)
    }
    start = 0
  }
}
