import { parseArgs } from 'node:util'
import { type AccessEntry, combinedLogLine, type HttpRoute, http } from '../http/index.ts'
import { type Address, formatAddress, isXpsError, type Protocol, parseAddress, type Route, Upstream } from '../index.ts'
import { UsageError } from './usage.ts'

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
  deadline: number
}

/** Reads the arguments of `xps serve`. Throws a {@link UsageError} that names the first mistake. */
export function parseServeOptions(args: string[]): ServeOptions {
  const values = parse(args)
  const connectTimeout = milliseconds('--connect-timeout', values['connect-timeout'])
  const root = values.root ?? '.'
  const wanted: Wanted[] = []
  for (const text of values.upstream ?? []) {
    const { where, target } = split('--upstream', text)
    const options = connectTimeout === undefined ? {} : { connectTimeout }
    const upstream = usage(
      () =>
        new Upstream(
          usage(() => parseAddress('--upstream', target)),
          options,
        ),
    )
    wanted.push({ where, route: { upstream }, text: `${show(where)} → ${upstream.address}` })
  }
  for (const text of values.file ?? []) {
    const { where, target } = split('--file', text)
    wanted.push({ where, route: { file: target, root }, text: `${show(where)} → file ${target}` })
  }
  for (const option of ['http', 'https'] as const) {
    for (const text of values[option] ?? []) {
      const { where, target } = split(`--${option}`, text, '8003=http://127.0.0.1:3000 or 8003=./public')
      const served = serveHttp(`--${option}`, target, values, connectTimeout)
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
  return { wanted, ...certificateOf(values, wanted), deadline: milliseconds('--deadline', values.deadline) ?? 10_000 }
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
  connectTimeout: number | undefined,
): { protocol: Protocol; folder?: string } {
  const log = values['access-log'] === true ? { log: printEntry } : {}
  const url = /^[a-z][a-z+.-]*:\/\//i.test(target) ? usageUrl(option, target) : undefined
  const { listing, fallback } = values
  const route: HttpRoute =
    url !== undefined
      ? {
          upstream: `${url.hostname}:${url.port === '' ? 80 : url.port}`,
          ...prefixOf(url),
          ...(connectTimeout === undefined ? {} : { connectTimeout }),
        }
      : {
          files: target,
          ...(listing === undefined ? {} : { listing }),
          ...(fallback === undefined ? {} : { fallback }),
        }
  const protocol = usage(() => http({ routes: [route], ...log }))
  return url === undefined ? { protocol, folder: target } : { protocol }
}

function usageUrl(option: string, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'http:' || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw new UsageError(`${option} must lead to http://HOST[:PORT][/PATH] or a folder, got '${text}'`)
  }
  return url
}

function prefixOf(url: URL): { prefix?: string } {
  const path = url.pathname.replace(/\/+$/, '')
  return path === '' ? {} : { prefix: path }
}

function printEntry(entry: AccessEntry): void {
  console.log(combinedLogLine(entry))
}

function parse(args: string[]) {
  try {
    return parseArgs({
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
        'connect-timeout': { type: 'string' },
        deadline: { type: 'string' },
      },
    }).values
  } catch (error) {
    // Node's message goes on with advice about '--' that does not help here.
    throw new UsageError((error as Error).message.split('. ')[0] ?? 'bad arguments')
  }
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

function milliseconds(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 86_400_000) {
    throw new UsageError(`${option} must be milliseconds from 1 to 86400000, got '${text}'`)
  }
  return value
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

function usage<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (isXpsError(error, 'XPS_INVALID_OPTION')) throw new UsageError(error.message)
    throw error
  }
}
