import { Fields, type FieldsInit } from '../../../src/http/fields.ts'
import { type HttpVersion, RequestHead } from '../../../src/http/messages.ts'

/** A request's head, as a decoder would have made it. */
export function request(
  target: string,
  given: { method?: string; host?: string; headers?: FieldsInit; version?: HttpVersion } = {},
): RequestHead {
  const { method = 'GET', host = 'app.test', headers, version = '1.1' } = given
  return new RequestHead(method, target, version, new Fields(headers), host)
}
