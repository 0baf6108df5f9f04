import { randomUUID } from 'node:crypto'
import type { ListenerTlsOptions } from '../core/tls/listener-tls.ts'
import { durationOption, integerOption, invalidOption, knownOptions } from '../options.ts'
import { soapLimitNames } from './limits.ts'
import { isSessionId } from './login/login-messages.ts'
import type { SoapReceiverOptions } from './receiver.ts'
import { dialNames, type SoapDialOptions } from './sender.ts'

/** Where a client listens for its server to call back. */
export interface ClientCallBackOptions {
  /** The port; 0 for a free one. @default 0 */
  port?: number
  /** The host name or address to listen at; see {@link SoapReceiver}. @default 'localhost' */
  host?: string
  /** @default '/' */
  path?: string
  /** Encrypts the connection that the server makes; see `docs/tls.md`. @default plain text */
  tls?: ListenerTlsOptions
}

/** Options of a {@link SoapClient}. */
export interface SoapClientOptions extends SoapDialOptions {
  username: string
  password: string
  /** What the session is called: a GUID, or up to 128 letters, digits and `_:.{}-`. @default a new GUID */
  sessionId?: string
  /** Lets the server send its messages over a connection that it makes to us. @default over the same connection */
  callBack?: ClientCallBackOptions | true
  /** How long logging in may take, once connected, in milliseconds. @default 30000 */
  loginTimeout?: number
  /** How long an answer may take, in milliseconds. @default 30000 */
  requestTimeout?: number
  /**
   * After how long without a message the server is told that we are alive, in milliseconds; 0 for never. More often if
   * the server waits for less than three times as long.
   * @default 30000
   */
  heartbeatInterval?: number
  /** Whether to come back with the same session when the connection breaks, if the server waits for it. @default true */
  reconnect?: boolean
  /** Between attempts to come back, in milliseconds. @default 250 */
  reconnectDelay?: number
  /** Requests that may wait for their answers. @default 1000 */
  maxRequests?: number
  /** Messages that are kept for each iteration; then no more are read. @default 1000 */
  maxBuffered?: number
}

/** What a single request may have of its own. */
export interface SoapRequestOptions {
  /** How long the answer may take, in milliseconds. @default the client's requestTimeout */
  timeout?: number
}

const names = [
  'username',
  'password',
  'sessionId',
  'callBack',
  'loginTimeout',
  'requestTimeout',
  'heartbeatInterval',
  'reconnect',
  'reconnectDelay',
  'maxRequests',
  'maxBuffered',
  ...dialNames,
]

/** The options of a client, checked and complete; but for those that say how it dials. */
export interface ClientRules {
  readonly username: string
  readonly password: string
  readonly sessionId: string
  /** Undefined if the server is to answer over the same connection. */
  readonly callBack: ClientCallBackOptions | undefined
  readonly loginTimeout: number
  readonly requestTimeout: number
  readonly heartbeatInterval: number
  readonly reconnect: boolean
  readonly reconnectDelay: number
  readonly maxRequests: number
  readonly maxBuffered: number
  /** What holds for all that comes, over whichever connection. */
  readonly limits: SoapReceiverOptions
}

/** Checks the options of a client. Throws `XPS_INVALID_OPTION`. */
export function clientRules(options: SoapClientOptions): ClientRules {
  knownOptions('client options', options, names)
  const { username, password, sessionId = randomUUID(), callBack, reconnect = true } = options
  for (const [name, value] of Object.entries({ username, password })) {
    if (typeof value !== 'string') throw invalidOption(name, undefined, 'text')
  }
  if (!isSessionId(sessionId)) throw invalidOption('sessionId', sessionId, 'a GUID, or up to 128 letters')
  if (callBack !== undefined && callBack !== true) knownOptions('callBack', callBack, ['port', 'host', 'path', 'tls'])
  const given = Object.entries(options).filter(([name]) => (soapLimitNames as readonly string[]).includes(name))
  const many = { min: 1, max: 1_000_000 }
  return {
    username,
    password,
    sessionId,
    callBack: callBack === true ? {} : callBack,
    loginTimeout: durationOption('loginTimeout', options.loginTimeout, 30_000),
    requestTimeout: durationOption('requestTimeout', options.requestTimeout, 30_000),
    heartbeatInterval: durationOption('heartbeatInterval', options.heartbeatInterval, 30_000, true),
    reconnect,
    reconnectDelay: durationOption('reconnectDelay', options.reconnectDelay, 250),
    maxRequests: integerOption('maxRequests', options.maxRequests, 1_000, many),
    maxBuffered: integerOption('maxBuffered', options.maxBuffered, 1_000, many),
    limits: Object.fromEntries(given),
  }
}
