import type { ErrorCode, XpsError } from '../errors.ts'
import { invalidOption } from '../options.ts'
import { reasonPhrase, statusAnswer } from './answers.ts'
import type { Answer } from './messages.ts'

const statusOfCode: Partial<Record<ErrorCode, number>> = {
  XPS_BAD_REQUEST: 400,
  XPS_FORBIDDEN: 403,
  XPS_NO_ROUTE: 404,
  XPS_NOT_FOUND: 404,
  XPS_METHOD: 405,
  XPS_PRECONDITION: 412,
  XPS_TOO_LARGE: 413,
  XPS_RANGE: 416,
  XPS_EXPECTATION: 417,
  XPS_BAD_RESPONSE: 502,
  XPS_CONNECT: 502,
  XPS_TLS: 502,
  XPS_RESET: 502,
  XPS_TRUNCATED: 502,
  XPS_BUSY: 503,
  XPS_CLOSED: 503,
}

/** The status that tells a client of an error: the error's own, or the one of its code; 500 for everything else. */
export function statusOf(error: XpsError): number {
  const { status } = error
  if (status !== undefined) return Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500
  if (error.code !== 'XPS_TIMEOUT') return statusOfCode[error.code] ?? 500
  if (error.reason === 'queue') return 503
  return error.origin === 'upstream' ? 504 : 408
}

/** What a client is told of an error: the page itself, with `{status}`, `{reason}` and `{code}` filled in; or an answer. */
export type ErrorPage = string | ((error: XpsError, status: number) => Answer)

/** Pages by status; `default` is for those that have none. */
export type ErrorPages = Readonly<Partial<Record<number | 'default', ErrorPage>>>

/** Throws `XPS_INVALID_OPTION` for pages that cannot be. */
export function checkErrorPages(pages: ErrorPages): ErrorPages {
  for (const [key, page] of Object.entries(pages)) {
    const status = Number(key)
    if (key !== 'default' && !(Number.isInteger(status) && status >= 400 && status <= 599)) {
      throw invalidOption('errorPages', key, `made of statuses from 400 to 599 and 'default'`)
    }
    if (typeof page !== 'string' && typeof page !== 'function') {
      throw invalidOption(`errorPages.${key}`, page, 'a text or a function')
    }
  }
  return pages
}

/** What a client is answered that something went wrong. Nothing of what happened inside is told but the status. */
export function faultAnswer(error: XpsError, pages: ErrorPages): Answer {
  const status = statusOf(error)
  const page = pages[status] ?? pages.default
  if (typeof page === 'function') return page(error, status)
  if (page === undefined) return statusAnswer(status, error.headers)
  const filled = page.replace(/\{(status|reason|code)\}/g, (_, name: string) =>
    name === 'status' ? String(status) : name === 'reason' ? reasonPhrase(status) : error.code,
  )
  const type = /^\s*</.test(page) ? 'text/html' : 'text/plain'
  return { status, headers: { 'content-type': `${type}; charset=utf-8`, ...error.headers }, body: filled }
}

/** The same without a page or a field of anybody's, which cannot fail. */
export function plainFaultAnswer(error: XpsError): Answer {
  return statusAnswer(statusOf(error))
}
