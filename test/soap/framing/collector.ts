import { EnvelopeText } from '../../../src/soap/framing/envelope-text.ts'
import type { Attachment, FrameDecoder, TextEncoding } from '../../../src/soap/framing/framing.ts'
import type { NmfEncoding } from '../../../src/soap/framing/nmf.ts'
import type { NmfHandler } from '../../../src/soap/framing/nmf-decoder.ts'
import type { SoapVersion } from '../../../src/soap/names.ts'
import { Rejection, type RejectionReason } from '../../../src/soap/rejection.ts'

export interface Found {
  version: SoapVersion | undefined
  text: string
  attachments: Attachment[]
}

/** Keeps what a decoder finds. */
export class Collector implements NmfHandler {
  readonly messages: Found[] = []
  readonly told: string[] = []
  /** Hold the decoder up after each message. */
  holds = false
  #now: Found = { version: undefined, text: '', attachments: [] }
  #text = new EnvelopeText('utf-8')
  #lasts = 0

  messageBegan(version: SoapVersion | undefined, encoding: TextEncoding): void {
    this.#now = { version, text: '', attachments: [] }
    this.#text = new EnvelopeText(encoding)
    this.#lasts = 0
  }

  envelope(bytes: Buffer, last: boolean): void {
    this.#now.text += this.#text.decode(bytes, last)
    if (last) this.#lasts++
  }

  attachment(attachment: Attachment): void {
    this.#now.attachments.push({ ...attachment, data: Buffer.from(attachment.data) })
  }

  messageEnded(): boolean {
    if (this.#lasts !== 1) throw new Error(`the last bytes were told ${this.#lasts} times`)
    this.messages.push(this.#now)
    return !this.holds
  }

  preamble(via: string, encoding: NmfEncoding): void {
    this.told.push(`preamble ${via} ${encoding.code}`)
  }

  accepted(): void {
    this.told.push('accepted')
  }

  refused(fault: string): void {
    this.told.push(`refused ${fault}`)
  }

  ended(): void {
    this.told.push('ended')
  }

  get texts(): string[] {
    return this.messages.map(({ text }) => text)
  }
}

/** Feeds bytes, cut at the given places. */
export function feed(decoder: FrameDecoder, bytes: Buffer, cuts: readonly number[] = []): void {
  const places = [0, ...[...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b), bytes.length]
  for (let index = 1; index < places.length; index++) {
    const part = bytes.subarray(places[index - 1], places[index])
    let at = 0
    while (at < part.length) at += decoder.decode(part.subarray(at))
  }
}

/** Why a decoder refuses the bytes. */
export function refusal(decoder: FrameDecoder, bytes: Buffer): RejectionReason | undefined {
  try {
    feed(decoder, bytes)
    return undefined
  } catch (error) {
    if (error instanceof Rejection) return error.reason
    throw error
  }
}

export const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex')
