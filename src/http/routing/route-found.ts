import { pathBelow } from './path.ts'
import type { RouteParams } from './route-match.ts'

/** The route of a request. */
export class RouteFound<R> {
  readonly route: R
  /** The prefix of the route that fits, without a slash at its end: `'/api'`; `''` if it has none, or a pattern. */
  readonly prefix: string
  /**
   * The path that an upstream may be sent: as it came, without dot segments. What is behind a proxy must not resolve
   * them again, and come to another place than the router did.
   */
  readonly path: string
  /** The parameters of the route's pattern; none if it is a prefix. */
  readonly params: RouteParams

  constructor(route: R, prefix: string, path: string, params: RouteParams) {
    this.route = route
    this.prefix = prefix
    this.path = path
    this.params = params
  }

  /** What the path has below the prefix, starting with a slash; nothing is decoded. */
  get rest(): string {
    return pathBelow(this.path, this.prefix)
  }
}
