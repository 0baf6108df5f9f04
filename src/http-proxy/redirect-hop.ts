import { Fields } from '../http/fields.ts'
import { RequestHead, type ResponseHead } from '../http/messages.ts'
import { invalidOption } from '../options.ts'
import { asTarget } from './outgoing.ts'
import { noBody, type RequestBody } from './request-body.ts'
import { readTarget, type Target } from './target.ts'

/** A request, and where it goes. */
export interface Hop {
  readonly head: RequestHead
  readonly body: RequestBody
  readonly target: Target
}

/** How many redirects are followed. Throws `XPS_INVALID_OPTION`. */
export function redirectsOption(given: boolean | number | null | undefined): number {
  if (given === undefined || given === null || given === false) return 0
  if (given === true) return 5
  if (typeof given === 'number' && Number.isInteger(given) && given >= 0 && given <= 100) return given
  throw invalidOption('followRedirects', given, 'true, false or a number from 0 to 100')
}

/**
 * The request that a redirect asks for; undefined for a response that is none, and for one that cannot be followed and
 * is for the client: to what is no HTTP, or with a body that is gone.
 */
export function hopAfter(hop: Hop, response: ResponseHead): Hop | undefined {
  const { status } = response
  const location = response.headers.get('location')
  if (location === undefined || ![301, 302, 303, 307, 308].includes(status)) return undefined
  const { head, target } = hop
  let url: URL
  try {
    url = new URL(location, `${target.secure ? 'https' : 'http'}://${target.host}${head.target}`)
  } catch {
    return undefined
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined
  const keeps = status >= 307 || head.method === 'GET' || head.method === 'HEAD'
  if (keeps && hop.body.length !== 0 && hop.body.bytes === undefined) return undefined
  const same = url.host === target.host && (url.protocol === 'https:') === target.secure
  const fields = new Fields(head.headers)
  fields.set('host', url.host)
  if (!same) for (const name of ['authorization', 'cookie']) fields.delete(name)
  if (!keeps) for (const [name] of new Fields(fields)) if (/^content-/i.test(name)) fields.delete(name)
  const next = new RequestHead('GET', asTarget(`${url.pathname}${url.search}`), head.version, fields, url.host)
  if (keeps) next.method = head.method
  return { head: next, body: keeps ? hop.body : noBody, target: same ? target : readTarget('location', url.origin) }
}
