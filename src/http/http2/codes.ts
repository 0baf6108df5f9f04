import { constants } from 'node:http2'
import type { XpsError } from '../../errors.ts'

/** The codes of RFC 9113, 7 that are said or looked at here. */
export const codes: Readonly<
  Record<'none' | 'protocol' | 'internal' | 'refused' | 'cancel' | 'calm' | 'http1', number>
> = {
  none: constants.NGHTTP2_NO_ERROR,
  protocol: constants.NGHTTP2_PROTOCOL_ERROR,
  internal: constants.NGHTTP2_INTERNAL_ERROR,
  refused: constants.NGHTTP2_REFUSED_STREAM,
  cancel: constants.NGHTTP2_CANCEL,
  calm: constants.NGHTTP2_ENHANCE_YOUR_CALM,
  http1: constants.NGHTTP2_HTTP_1_1_REQUIRED,
}

/** Why an upstream's stream was reset, as the `cause` of an error. */
export class StreamReset extends Error {
  override readonly name = 'StreamReset'
  readonly code: number

  constructor(code: number) {
    super(nameOfCode(code))
    this.code = code
  }
}

/** The code by which an upstream reset the stream that the error is about; undefined if it is about something else. */
export function resetCodeOf(error: XpsError): number | undefined {
  let depth = 0
  for (let at: unknown = error; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if (at instanceof StreamReset) return at.code
  }
  return undefined
}

/** The code that tells a client why its stream was cut. */
export function codeOfCut(error: XpsError): number {
  const reset = resetCodeOf(error)
  // What else an upstream says is about its connection to us.
  if (reset === codes.cancel || reset === codes.calm) return reset
  if (error.code === 'XPS_TIMEOUT' || error.code === 'XPS_ABORTED') return codes.cancel
  if (error.code === 'XPS_BAD_REQUEST') return codes.protocol
  return codes.internal
}

/** The code that tells a client why its connection ends now. */
export function codeOfEnd(error: XpsError): number {
  if (error.code === 'XPS_FLOOD') return codes.calm
  if (error.code === 'XPS_BAD_REQUEST') return codes.protocol
  return error.code === 'XPS_FAULT' ? codes.internal : codes.none
}

/** By their numbers. */
const names = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
] as const

/** What a code is called, for messages. */
export function nameOfCode(code: number): string {
  return names[code] ?? `code ${code}`
}
