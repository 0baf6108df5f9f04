import type { KeyObject } from 'node:crypto'
import { kinds } from '../http/fields.ts'
import type { Transaction } from '../http/transaction.ts'
import { integerOption, invalidOption, knownOptions } from '../options.ts'
import type { CookieSession } from './cookie-session.ts'
import { secretKey } from './signature.ts'

/** For which requests something holds: those of routes with these names, or what a function says. */
export type RouteChoice = readonly string[] | ((transaction: Transaction) => boolean)

/** The value of a header field: that of a key of the session, or what a function makes of it. */
export type SessionField<Data extends object> =
  | (keyof Data & string)
  | ((session: CookieSession<Data>) => string | undefined)

/** All of the session as a token (a JWT, HS256), that an upstream can check. */
export interface SessionTokenOptions {
  /** @default 'x-session-token' */
  header?: string
  /** 32 bytes or more, and none of those that sign cookies: who has it can make tokens. */
  key: string | Uint8Array
  /** How long a token is good, in seconds. @default 60 */
  lifetime?: number
}

/** What upstreams are told of the session. */
export interface SessionForwardOptions<Data extends object = Record<string, unknown>> {
  /** Header fields. Nobody outside can send them, nor what looks like them. @default none */
  headers?: Readonly<Record<string, SessionField<Data>>>
  /** @default none */
  token?: SessionTokenOptions
  /** Which requests are told. @default all that are forwarded */
  routes?: RouteChoice
}

/** From whom changes of the session are taken, and by which fields of a response. */
export interface SessionAcceptOptions {
  /** Whose responses may change the session. */
  routes: RouteChoice
  /**
   * What the names of the fields begin with: `-set`, `-delete`, `-rotate` and `-destroy` follow. No client sees them, from
   * whichever upstream they are.
   * @default 'x-session'
   */
  prefix?: string
}

/** What upstreams are told, and by what they change the session. */
export interface UpstreamRules<Data extends object> {
  readonly fields: readonly (readonly [name: string, field: SessionField<Data>])[]
  readonly token: { readonly name: string; readonly key: KeyObject; readonly lifetime: number } | undefined
  /** Whether the request's upstream is told anything. */
  tells(transaction: Transaction): boolean
  /** Whether the request's upstream may change the session. */
  accepts(transaction: Transaction): boolean
  /** The names of the fields by which it does. */
  readonly changes:
    | { readonly set: string; readonly delete: string; readonly rotate: string; readonly destroy: string }
    | undefined
  /** All names that only we may send. */
  readonly guarded: readonly string[]
}

/** Reads the options. Throws `XPS_INVALID_OPTION`. */
export function upstreamRules<Data extends object>(
  forward: SessionForwardOptions<Data> | undefined,
  accept: SessionAcceptOptions | undefined,
): UpstreamRules<Data> {
  const { fields, token, tells } = forwardRules(forward)
  const changes = accept === undefined ? undefined : changeFields(accept)
  const guarded = [...fields.map(([name]) => name), ...(token === undefined ? [] : [token.name])]
  if (changes !== undefined) guarded.push(...Object.values(changes))
  const twice = guarded.find((name, index) => guarded.indexOf(name) < index)
  if (twice !== undefined) throw invalidOption('forward', twice, 'made of names that are there once')
  return {
    fields,
    token,
    tells,
    accepts: accept === undefined ? () => false : choice('accept.routes', accept.routes),
    changes,
    guarded,
  }
}

function forwardRules<Data extends object>(
  forward: SessionForwardOptions<Data> | undefined,
): Pick<UpstreamRules<Data>, 'fields' | 'token' | 'tells'> {
  if (forward === undefined) return { fields: [], token: undefined, tells: () => false }
  object('forward', forward)
  knownOptions('forward', forward, ['headers', 'token', 'routes'])
  const { headers = {}, token, routes } = forward
  object('forward.headers', headers)
  const fields = Object.entries(headers).map(([name, field]) => {
    if (typeof field !== 'string' && typeof field !== 'function') {
      throw invalidOption(`forward.headers['${name}']`, field, 'a key of the session or a function')
    }
    return [fieldName('forward.headers', name), field] as const
  })
  return {
    fields,
    token: token === undefined ? undefined : tokenRules(token),
    tells: routes === undefined ? () => true : choice('forward.routes', routes),
  }
}

function tokenRules(given: SessionTokenOptions): NonNullable<UpstreamRules<object>['token']> {
  object('forward.token', given)
  knownOptions('forward.token', given, ['header', 'key', 'lifetime'])
  return {
    name: fieldName('forward.token.header', given.header ?? 'x-session-token'),
    key: secretKey('forward.token.key', given.key),
    lifetime: integerOption('forward.token.lifetime', given.lifetime, 60, { min: 1, max: 86_400 }),
  }
}

function changeFields(accept: SessionAcceptOptions): NonNullable<UpstreamRules<object>['changes']> {
  object('accept', accept)
  knownOptions('accept', accept, ['routes', 'prefix'])
  const prefix = fieldName('accept.prefix', accept.prefix ?? 'x-session')
  return { set: `${prefix}-set`, delete: `${prefix}-delete`, rotate: `${prefix}-rotate`, destroy: `${prefix}-destroy` }
}

function choice(name: string, given: RouteChoice): (transaction: Transaction) => boolean {
  if (typeof given === 'function') return given
  if (!Array.isArray(given) || given.some((one) => typeof one !== 'string')) {
    throw invalidOption(name, given, 'a list of names of routes, or a function')
  }
  const names: ReadonlySet<string> = new Set(given as readonly string[])
  return ({ route }) => route?.name !== undefined && names.has(route.name)
}

/** Fields that say something else already, besides those that everybody knows. */
const taken = /^(?:cookie|authorization|content-.*|x-forwarded-.*|sec-.*|access-control-.*)$/

function fieldName(option: string, name: string): string {
  const lower = typeof name === 'string' ? name.toLowerCase() : ''
  if (!/^[!#$%&'*+\-.^`|~\da-z]+$/.test(lower) || taken.test(lower) || kinds.has(lower)) {
    throw invalidOption(option, name, "the name of a header field of your own, such as 'x-session-user'")
  }
  return lower
}

function object(name: string, given: unknown): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw invalidOption(name, given, 'an object')
}
