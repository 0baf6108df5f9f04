import { reasonPhrase } from '../answers.ts'

const lines: string[] = []

/** The first line of a response, with its CRLF; the usual phrase stands in for one that did not come. */
export function statusLine(status: number, reason: string): string {
  lines[status] ??= `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`
  const usual = lines[status]
  if (reason === '' || (usual.length === reason.length + 15 && usual.startsWith(reason, 13))) return usual
  return `HTTP/1.1 ${status} ${reason}\r\n`
}
