import { type AccessEntry, combinedLogLine, type HttpRoute, http } from '../http/index.ts'
import {
  type Address,
  formatAddress,
  Listener,
  type Protocol,
  type ProxyProtocolOptions,
  parseAddress,
  type Route,
  relay,
  Upstream,
  type UpstreamOptions,
} from '../index.ts'
import { milliseconds, parsed } from './arguments.ts'
import { UsageError, usage } from './usage.ts'

/** In milliseconds. */
const day = 86_400_000

/** Where to listen: an address, or a port on all addresses. */
export type Where = Address | { port: number }

/** One listener, as it was asked for. */
export interface Wanted {
  where: Where
  /** What the listener does with what comes in: one of the two. */
  route?: Route
  protocol?: Protocol
  /** It is encrypted. */
  secure?: boolean
  /** It connects to an upstream. */
  dials?: boolean
  /** A folder that must be there. */
  folder?: string
  /** What to print: `*:8001 → 127.0.0.1:3000`. */
  text: string
}

/** What `xps serve` was asked to do. */
export interface ServeOptions {
  wanted: Wanted[]
  /** The files of the certificate for those that are encrypted; without it one is made for development. */
  certificate?: { cert: string; key: string }
  /** The proxies before us whose word counts. */
  proxyProtocol?: ProxyProtocolOptions
  deadline: number
}

/** Reads the arguments of `xps serve`. Throws a {@link UsageError} that names the first mistake. */
export function parseServeOptions(args: string[]): ServeOptions {
  const values = parse(args)
  const dial = dialOptions(values)
  const root = values.root ?? '.'
  const wanted: Wanted[] = []
  for (const text of values.upstream ?? []) {
    const { where, target } = split('--upstream', text)
    const upstream = usage(
      () =>
        new Upstream(
          usage(() => parseAddress('--upstream', target)),
          dial,
        ),
    )
    wanted.push({ where, route: { upstream }, dials: true, text: `${show(where)} → ${upstream.address}` })
  }
  for (const text of values.file ?? []) {
    const { where, target } = split('--file', text)
    wanted.push({ where, route: { file: target, root }, text: `${show(where)} → file ${target}` })
  }
  for (const option of ['http', 'https'] as const) {
    for (const text of values[option] ?? []) {
      const { where, target } = split(`--${option}`, text, '8003=http://127.0.0.1:3000 or 8003=./public')
      const served = serveHttp(`--${option}`, target, values, dial)
      const secure = option === 'https' ? { secure: true } : {}
      wanted.push({ where, ...served, ...secure, text: `${show(where)} → ${target}` })
    }
  }
  const folders = wanted.some((one) => one.folder !== undefined)
  if (!folders && (values.listing !== undefined || values.fallback !== undefined)) {
    throw new UsageError('--listing and --fallback are for folders: give --http or --https LISTEN=DIR')
  }
  if (wanted.length === 0) throw new UsageError('nothing to serve: give --http, --https, --upstream or --file')
  refuseTwice(wanted)
  if (dial.proxyProtocol !== undefined && !wanted.some(({ dials }) => dials)) {
    throw new UsageError('--send-proxy is for --upstream LISTEN=TARGET and --http or --https LISTEN=URL')
  }
  const deadline = milliseconds('--deadline', values.deadline, 1, day) ?? 10_000
  return { wanted, ...certificateOf(values, wanted), ...proxiesOf(values), deadline }
}

/** What holds for all upstreams. */
function dialOptions(values: ReturnType<typeof parse>): Pick<UpstreamOptions, 'connectTimeout' | 'proxyProtocol'> {
  const connectTimeout = milliseconds('--connect-timeout', values['connect-timeout'], 1, day)
  const version = values['send-proxy']
  if (version !== undefined && version !== '1' && version !== '2') {
    throw new UsageError(`--send-proxy must be 1 or 2, got '${version}'`)
  }
  return {
    ...(connectTimeout === undefined ? {} : { connectTimeout }),
    ...(version === undefined ? {} : { proxyProtocol: version === '1' ? 1 : 2 }),
  }
}

function proxiesOf({ 'proxy-protocol': given }: ReturnType<typeof parse>): Pick<ServeOptions, 'proxyProtocol'> {
  if (given === undefined) return {}
  const trusted = given.flatMap((text) => text.split(',')).map((text) => text.trim())
  const proxyProtocol = { trusted }
  // One that never listens finds out what is wrong with it, before others do.
  usage(() => new Listener(0, { protocol: relay({}), proxyProtocol }))
  return { proxyProtocol }
}

function certificateOf({ cert, key }: ReturnType<typeof parse>, wanted: Wanted[]): Pick<ServeOptions, 'certificate'> {
  if (cert === undefined && key === undefined) return {}
  if (cert === undefined || key === undefined) throw new UsageError('--cert and --key are given both, or none of them')
  if (!wanted.some(({ secure }) => secure)) throw new UsageError('--cert and --key are for --https LISTEN=TARGET')
  return { certificate: { cert, key } }
}

/** A reverse proxy for a URL, or a static site for a folder. */
function serveHttp(
  option: string,
  target: string,
  values: ReturnType<typeof parse>,
  dial: Pick<UpstreamOptions, 'connectTimeout' | 'proxyProtocol'>,
): { protocol: Protocol; folder?: string; dials?: true } {
  const log = values['access-log'] === true ? { log: printEntry } : {}
  const url = /^[a-z][a-z+.-]*:\/\//i.test(target) ? usageUrl(option, target) : undefined
  const { listing, fallback } = values
  const route: HttpRoute =
    url !== undefined
      ? {
          upstream: `${url.protocol}//${url.host}`,
          ...prefixOf(url),
          ...dial,
        }
      : {
          files: target,
          ...(listing === undefined ? {} : { listing }),
          ...(fallback === undefined ? {} : { fallback }),
        }
  const protocol = usage(() => http({ routes: [route], ...log }))
  return url === undefined ? { protocol, folder: target } : { protocol, dials: true }
}

function usageUrl(option: string, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (
    url === undefined ||
    !upstreamSchemes.has(url.protocol) ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== ''
  ) {
    throw new UsageError(
      `${option} must lead to http://HOST[:PORT][/PATH], https://…, h2c://… or a folder, got '${text}'`,
    )
  }
  return url
}

const upstreamSchemes: ReadonlySet<string> = new Set(['http:', 'https:', 'h2c:'])

function prefixOf(url: URL): { prefix?: string } {
  const path = url.pathname.replace(/\/+$/, '')
  return path === '' ? {} : { prefix: path }
}

function printEntry(entry: AccessEntry): void {
  console.log(combinedLogLine(entry))
}

function parse(args: string[]) {
  return parsed({
    args,
    strict: true,
    options: {
      upstream: { type: 'string', multiple: true },
      file: { type: 'string', multiple: true },
      http: { type: 'string', multiple: true },
      https: { type: 'string', multiple: true },
      cert: { type: 'string' },
      key: { type: 'string' },
      listing: { type: 'boolean' },
      fallback: { type: 'string' },
      'access-log': { type: 'boolean' },
      root: { type: 'string' },
      'proxy-protocol': { type: 'string', multiple: true },
      'send-proxy': { type: 'string' },
      'connect-timeout': { type: 'string' },
      deadline: { type: 'string' },
    },
  }).values
}

function split(option: string, text: string, example = '8001=127.0.0.1:3000'): { where: Where; target: string } {
  const index = text.indexOf('=')
  if (index <= 0 || index === text.length - 1) {
    throw new UsageError(`${option} must be LISTEN=TARGET, such as ${example}, got '${text}'`)
  }
  const left = text.slice(0, index)
  const address = usage(() => parseAddress(`${option} ${text}: LISTEN`, left, '*'))
  const where = 'port' in address && address.host === '*' ? { port: address.port } : address
  return { where, target: text.slice(index + 1) }
}

function refuseTwice(wanted: readonly Wanted[]): void {
  const seen = new Set<string>()
  for (const { where } of wanted) {
    const text = show(where)
    const anyPort = 'port' in where && where.port === 0
    if (seen.has(text) && !anyPort) throw new UsageError(`${text} is given twice`)
    seen.add(text)
  }
}

function show(where: Where): string {
  return 'path' in where || 'host' in where ? formatAddress(where) : `*:${where.port}`
}
