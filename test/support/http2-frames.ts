/** The frames of RFC 9113 6, by their names. */
export const frameTypes = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const
export type FrameName = keyof typeof frameTypes

export const END_STREAM = 0x1
export const ACK = 0x1
export const END_HEADERS = 0x4
export const PADDED = 0x8
export const PRIORITY = 0x20

const codeNames = [
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
/** The error codes of RFC 9113 7. */
export type ErrorCode = (typeof codeNames)[number]

export function errorNumber(code: ErrorCode | number): number {
  return typeof code === 'number' ? code : codeNames.indexOf(code)
}

export function errorName(code: number): ErrorCode | `code ${number}` {
  return codeNames[code] ?? `code ${code}`
}

/** The settings of RFC 9113 6.5.2 and RFC 8441. */
export const settingNumbers = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
  ENABLE_CONNECT_PROTOCOL: 8,
} as const
export type SettingName = keyof typeof settingNumbers
/** Settings by name, or pairs of a number and a value where order, repetition or unknown ones matter. */
export type Settings = Readonly<Partial<Record<SettingName, number>>> | readonly (readonly [number, number])[]

export const clientPreface: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** A frame that came. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** The bytes of a frame; nothing of it is checked. */
export function frame(
  type: FrameName | number,
  flags: number,
  stream: number,
  payload: Uint8Array | string = '',
): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head[3] = typeof type === 'number' ? type : frameTypes[type]
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, body])
}

/** Numbers of 32 bits, as most payloads are made of. */
export function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, at) => {
    bytes.writeUInt32BE(value, at * 4)
  })
  return bytes
}

export function settingsPayload(settings: Settings): Buffer {
  const pairs = Array.isArray(settings)
    ? (settings as readonly (readonly [number, number])[])
    : Object.entries(settings).map(([name, value]) => [settingNumbers[name as SettingName], value as number] as const)
  return Buffer.concat(
    pairs.map(([number, value]) => {
      const pair = Buffer.alloc(6)
      pair.writeUInt16BE(number, 0)
      pair.writeUInt32BE(value, 2)
      return pair
    }),
  )
}

/** What is left of a payload without its padding and priority. */
export function unpadded({ type, flags, payload }: Frame): Buffer {
  let start = 0
  let end = payload.length
  if ((flags & PADDED) !== 0) {
    start = 1
    end -= payload[0] ?? 0
  }
  if (type === frameTypes.HEADERS && (flags & PRIORITY) !== 0) start += 5
  return payload.subarray(start, end)
}

/** What is said of a frame in the message of a test that waited in vain. */
export function describeFrame({ type, flags, stream, payload }: Frame): string {
  const name = Object.entries(frameTypes).find(([, number]) => number === type)?.[0] ?? `type ${type}`
  let text = `${name} stream ${stream} flags ${flags.toString(16)} length ${payload.length}`
  if (type === frameTypes.RST_STREAM) text += ` ${errorName(payload.readUInt32BE(0))}`
  if (type === frameTypes.GOAWAY)
    text += ` last ${payload.readUInt32BE(0)} ${errorName(payload.readUInt32BE(4))} ${payload.subarray(8).toString()}`
  if (type === frameTypes.WINDOW_UPDATE) text += ` by ${payload.readUInt32BE(0)}`
  return text
}

/** Cuts what comes from a socket into frames. */
export class FrameReader {
  #unread: Buffer = Buffer.alloc(0)
  #skip: number

  /** Of a server's side: the client's preface stands before the first frame. */
  constructor(preface: boolean) {
    this.#skip = preface ? clientPreface.length : 0
  }

  push(chunk: Buffer): Frame[] {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    if (this.#skip > 0) {
      if (this.#unread.length < this.#skip) return []
      if (!this.#unread.subarray(0, this.#skip).equals(clientPreface)) throw new Error('no preface of a client')
      this.#unread = this.#unread.subarray(this.#skip)
      this.#skip = 0
    }
    const frames: Frame[] = []
    while (this.#unread.length >= 9) {
      const length = this.#unread.readUIntBE(0, 3)
      if (this.#unread.length < 9 + length) break
      frames.push({
        type: this.#unread[3] ?? 0,
        flags: this.#unread[4] ?? 0,
        stream: this.#unread.readUInt32BE(5) & 0x7fff_ffff,
        payload: this.#unread.subarray(9, 9 + length),
      })
      this.#unread = this.#unread.subarray(9 + length)
    }
    return frames
  }
}
