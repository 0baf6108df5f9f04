import { XpsError } from '../errors.ts'
import { integerOption, invalidOption, knownOptions } from '../options.ts'
import type { Answer, RequestHead } from './messages.ts'

/** Where a client is sent instead. */
export interface RedirectOptions {
  /**
   * The new place: `{host}`, `{path}` and `{query}` stand for those of the request, as in `https://{host}{path}{query}`.
   */
  to: string
  /** 301, 302, 303, 307 or 308. @default 302 */
  status?: number
}

/** Checks a redirect and returns what answers by it. Throws `XPS_INVALID_OPTION`. */
export function redirector(given: string | RedirectOptions): (request: RequestHead) => Answer {
  const options = typeof given === 'string' ? { to: given } : given
  if (typeof options !== 'object' || options === null)
    throw invalidOption('redirect', given, 'a text or { to, status }')
  knownOptions('redirect', options, ['to', 'status'])
  const { to } = options
  if (typeof to !== 'string' || to === '' || /[^\x21-\x7e]/.test(to)) {
    throw invalidOption('redirect.to', to, 'a place, in visible ASCII')
  }
  const status = integerOption('redirect.status', options.status, 302, { min: 301, max: 308 })
  if (status > 303 && status < 307) throw invalidOption('redirect.status', status, '301, 302, 303, 307 or 308')
  const needsHost = to.includes('{host}')
  return (request) => {
    if (needsHost && request.authority === '') {
      throw new XpsError('XPS_BAD_REQUEST', 'the request does not say for which host it is', { origin: 'client' })
    }
    const location = to.replace(/\{(host|path|query)\}/g, (_, name: string) =>
      name === 'host' ? request.authority : name === 'path' ? safePath(request.path) : request.query,
    )
    return { status, headers: { location } }
  }
}

/** A path that starts with two slashes would be taken for a host. */
function safePath(path: string): string {
  return path.replace(/^\/[/\\]+/, '/')
}
