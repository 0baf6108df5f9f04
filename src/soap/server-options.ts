import { bytesOption, durationOption, integerOption, invalidOption, knownOptions } from '../options.ts'
import { type CallBackOptions, type CallBackRules, callBackRules } from './call-back.ts'
import type { FramingName } from './framing/framing.ts'
import { type SoapLimitOptions, type SoapLimits, soapLimitNames, soapLimits } from './limits.ts'
import type { ThrottleLimits } from './login/login-throttle.ts'
import type { SoapMessage } from './message.ts'
import { type Processor, type ProcessorFunction, processorTable } from './processors.ts'
import type { SoapSession } from './session.ts'
import type { XmlElement } from './xml/element.ts'

/** What a client says to log in, and where it says so from. */
export interface Credentials {
  readonly username: string
  readonly password: string
  /** Undefined for a Unix-domain or in-process socket. */
  readonly remoteAddress: string | undefined
  /** Whether its connection is encrypted. */
  readonly secure: boolean
}

/** Options of {@link soapServer}. */
export interface SoapServerOptions extends SoapLimitOptions {
  /** Whether a client may log in: asked once for each session. `verifyPassword` helps to answer. */
  login: (credentials: Credentials) => boolean | Promise<boolean>
  /** Whether a session may send a message: asked for each of them, and never remembered. @default it may */
  entitled?: (session: SoapSession, message: SoapMessage) => boolean | Promise<boolean>
  /** What works on messages, by their action. */
  processors: Readonly<Record<string, ProcessorFunction | Processor>>
  /** The path of its address; messages to another are refused. @default any */
  path?: string
  /** How messages may be framed. @default ['dime', 'nmf'] */
  framings?: readonly FramingName[]
  /** Whether a header block is understood that must be. @default none but those of addressing and sessions are */
  understands?: (header: XmlElement) => boolean
  /** URIs of roles that it plays, besides those of every receiver. @default none */
  roles?: readonly string[]
  /** How clients are called back that ask for it; false for not at all. @default with all its checks */
  callBack?: CallBackOptions | false
  /** From a connection's acceptance until its client is logged in, in milliseconds. @default 10000 */
  loginTimeout?: number
  /** How long a client may send no message, in milliseconds; 0 for ever. @default 120000 */
  staleTimeout?: number
  /** How long a session waits for a client whose connection broke to come back, in milliseconds. @default 0 */
  graceTime?: number
  /** From the first byte of a message to its last, in milliseconds; 0 for ever. @default 90000 */
  messageTimeout?: number
  /** Connections that are not logged in, at a time; more are closed. @default 256 */
  maxUnauthenticated?: number
  /** The longest message of a client that is not logged in, in bytes. @default 65536 */
  maxLoginBytes?: number | string
  /** Messages of one session that are worked on at a time; the next ones wait. @default 100 */
  maxPending?: number
  /** How many ids of messages are remembered for each session, to refuse those that come twice. @default 256 */
  messageIdWindow?: number
  /** How long the first login after a refused one has to wait, in milliseconds; it doubles with each. @default 250 */
  loginDelay?: number
  /** The longest such wait; who would have to wait longer is refused at once. @default 30000 */
  maxLoginDelay?: number
}

/** The options of a server, checked and complete. */
export interface ServerRules {
  readonly login: SoapServerOptions['login']
  readonly entitled: SoapServerOptions['entitled']
  readonly processors: ReadonlyMap<string, Processor>
  readonly path: string | undefined
  readonly framings: readonly FramingName[]
  readonly understands: SoapServerOptions['understands']
  readonly roles: readonly string[] | undefined
  readonly callBack: CallBackRules | undefined
  readonly loginTimeout: number
  readonly staleTimeout: number
  readonly graceTime: number
  readonly messageTimeout: number
  readonly maxUnauthenticated: number
  readonly maxLoginBytes: number
  readonly maxPending: number
  readonly messageIdWindow: number
  readonly throttle: ThrottleLimits
  readonly limits: SoapLimits
}

const names = [
  'login',
  'entitled',
  'processors',
  'path',
  'framings',
  'understands',
  'roles',
  'callBack',
  'loginTimeout',
  'staleTimeout',
  'graceTime',
  'messageTimeout',
  'maxUnauthenticated',
  'maxLoginBytes',
  'maxPending',
  'messageIdWindow',
  'loginDelay',
  'maxLoginDelay',
  ...soapLimitNames,
]

/** Checks the options of a server. Throws `XPS_INVALID_OPTION`. */
export function serverRules(given: SoapServerOptions): ServerRules {
  if (typeof given !== 'object' || given === null) throw invalidOption('options', given, 'an object')
  knownOptions('soap options', given, names)
  for (const name of ['login', 'entitled', 'understands'] as const) {
    const one = given[name]
    if ((one !== undefined || name === 'login') && typeof one !== 'function')
      throw invalidOption(name, one, 'a function')
  }
  const count = (name: 'maxUnauthenticated' | 'maxPending' | 'messageIdWindow', fallback: number): number =>
    integerOption(name, given[name], fallback, { min: 1, max: 1_000_000 })
  return {
    login: given.login,
    entitled: given.entitled,
    processors: processorTable(given.processors),
    path: pathOption(given.path),
    framings: framingsOption(given.framings),
    understands: given.understands,
    roles: given.roles,
    callBack: given.callBack === false ? undefined : callBackRules(given.callBack ?? {}),
    loginTimeout: durationOption('loginTimeout', given.loginTimeout, 10_000),
    staleTimeout: durationOption('staleTimeout', given.staleTimeout, 120_000, true),
    graceTime: durationOption('graceTime', given.graceTime, 0, true),
    messageTimeout: durationOption('messageTimeout', given.messageTimeout, 90_000, true),
    maxUnauthenticated: count('maxUnauthenticated', 256),
    maxLoginBytes: bytesOption('maxLoginBytes', given.maxLoginBytes ?? 64 * 1024),
    maxPending: count('maxPending', 100),
    messageIdWindow: count('messageIdWindow', 256),
    throttle: {
      first: durationOption('loginDelay', given.loginDelay, 250),
      longest: durationOption('maxLoginDelay', given.maxLoginDelay, 30_000),
    },
    limits: soapLimits(given),
  }
}

/** Checks a list of framings. */
export function framingsOption(given: readonly FramingName[] | undefined): readonly FramingName[] {
  const framings = given ?? ['dime', 'nmf']
  if (!Array.isArray(framings) || framings.length === 0 || framings.some((one) => one !== 'dime' && one !== 'nmf')) {
    throw invalidOption('framings', framings, "made of 'dime' and 'nmf'")
  }
  return framings
}

function pathOption(given: string | undefined): string | undefined {
  if (given !== undefined && !/^\/[^?#\s]*$/.test(given)) throw invalidOption('path', given, "a path such as '/quotes'")
  return given
}
