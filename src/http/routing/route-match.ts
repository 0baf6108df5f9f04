/**
 * Which requests a route is for: those that fit everything that is given here. What is left out fits all; where a list
 * is given, one of it has to fit.
 */
export interface RouteMatch {
  /** The port that the client came in on. */
  listener?: number | readonly number[]
  /**
   * The host that the client asks for, without a port, in any case: `'app.test'`, or `'*.app.test'` for all names that
   * end so, with one or more labels in front, but not for `app.test` itself.
   */
  host?: string | readonly string[]
  /**
   * A prefix that ends where a segment does: `'/api'` is for `/api`, `/api/` and `/api/x`, not for `/api2`. A slash at
   * its end changes nothing.
   *
   * Or, if it has one of `:*{}`, a pattern for the whole path as path-to-regexp reads it: `'/users/:id'`,
   * `'/files/*path'`, `'/about{.html}'`. Upper and lower case are different; a slash at the end of the path is no
   * difference. (`'/health{/}'` is for `/health` alone and nothing below it.)
   */
  path?: string | readonly string[]
  /** Methods, in capital letters. `'GET'` is for HEAD too. What is left out fits all but CONNECT. */
  method?: string | readonly string[]
  /** Fields that the request has to have: with this value, as it is spelled, or with any (`true`). */
  headers?: Readonly<Record<string, string | true>>
}

/** The names of the properties, for checks of what is given. */
export const routeMatchNames: readonly (keyof RouteMatch)[] = ['listener', 'host', 'path', 'method', 'headers']

/** The values of the parameters in a pattern, decoded; lists for wildcards. */
export type RouteParams = Readonly<Record<string, string | readonly string[]>>
