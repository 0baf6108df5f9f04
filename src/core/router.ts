import { defaultTimeouts, type TimeoutOptions, timeoutNames, withTimeouts } from '../admission/timeouts.ts'
import { integerOption, invalidOption, knownOptions } from '../options.ts'
import { FileSource, type FileSourceOptions } from '../pipe/file-source.ts'
import type { Stage } from '../pipe/stage.ts'
import type { Connection } from './connection.ts'
import { Upstream, type UpstreamOptions, type UpstreamTarget } from './upstream.ts'

/** What may stand between the client and the other side. Stages that keep state must be made anew for each session. */
export interface RouteStages {
  /** Stages for what the upstream or file sends. */
  toClient?: readonly Stage[]
  /** Stages for what the client sends. */
  toUpstream?: readonly Stage[]
}

/** Relay the client's bytes to an upstream, and the upstream's to the client. */
export interface UpstreamRoute extends RouteStages, UpstreamOptions, TimeoutOptions {
  upstream: UpstreamTarget | readonly UpstreamTarget[] | Upstream
}

/** Send the client a file, whatever it sends. */
export interface FileRoute extends Pick<RouteStages, 'toClient'>, FileSourceOptions, TimeoutOptions {
  file: string
}

/** Close the client's connection, for a reason. */
export interface RefuseRoute {
  refuse: string
}

/** Where a session's bytes go. */
export type Route = UpstreamRoute | FileRoute | RefuseRoute

/** Chooses the route of a client; undefined if there is none. What it throws ends the session. */
export type Router = (client: Connection) => Route | undefined | Promise<Route | undefined>

/** A router that picks the route by the port that the client came in on. The routes are checked at once. */
export function portRouter(routes: Readonly<Record<number, Route>>): Router {
  const table = new Map<number, Route>()
  for (const [key, route] of Object.entries(routes)) {
    const port = integerOption(`portRouter: port ${key}`, Number(key), 0, { min: 1, max: 65_535 })
    table.set(port, prepareRoute(route))
  }
  return (client) => table.get(client.entrance?.port ?? 0)
}

// Routes that need no second look; a table of a few, asked once for each session.
const prepared = new WeakSet<Route>()

/** Checks a route and makes what need not be made for each session. Throws `XPS_INVALID_OPTION`. */
export function prepareRoute(route: Route): Route {
  if (typeof route !== 'object' || route === null) throw invalidOption('route', route, routeShape)
  if ('upstream' in route) {
    if (prepared.has(route)) return route
    const { upstream, toClient, toUpstream, ...rest } = route
    checkStages('toClient', toClient)
    checkStages('toUpstream', toUpstream)
    const [timeouts, options] = splitTimeouts(rest)
    if (upstream instanceof Upstream) knownOptions('route', options, []) // They belong to the upstream that was given.
    const made: UpstreamRoute = {
      ...timeouts,
      upstream: upstream instanceof Upstream ? upstream : new Upstream(upstream, options),
      ...(toClient === undefined ? {} : { toClient }),
      ...(toUpstream === undefined ? {} : { toUpstream }),
    }
    prepared.add(made)
    return made
  }
  if ('file' in route) {
    checkStages('toClient', route.toClient)
    fileOf(route)
    return route
  }
  if ('refuse' in route && typeof route.refuse === 'string') return route
  throw invalidOption('route', route, routeShape)
}

function checkStages(name: string, stages: readonly Stage[] | undefined): void {
  if (stages !== undefined && !Array.isArray(stages)) throw invalidOption(name, stages, 'a list of stages')
}

/** The file source of a route, for one session. */
export function fileOf(route: FileRoute): FileSource {
  const { file, toClient: _, ...rest } = route
  return new FileSource(file, splitTimeouts(rest)[1])
}

/** Takes the timeouts of the session out of options that are for something else too, and checks them. */
function splitTimeouts<O extends TimeoutOptions>(options: O): [TimeoutOptions, Omit<O, keyof TimeoutOptions>] {
  const timeouts: TimeoutOptions = {}
  const others: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) {
    if (timeoutNames.includes(name as keyof TimeoutOptions)) timeouts[name as keyof TimeoutOptions] = value
    else others[name] = value
  }
  withTimeouts(defaultTimeouts, timeouts)
  return [timeouts, others as Omit<O, keyof TimeoutOptions>]
}

const routeShape = "{ upstream: '127.0.0.1:3000' }, { file: 'path' } or { refuse: 'reason' }"
