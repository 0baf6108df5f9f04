import type { SoapVersion } from '../names.ts'

/** How messages are told apart on a connection. */
export type FramingName = 'dime' | 'nmf'

/** How the characters of an envelope are encoded. */
export type TextEncoding = 'utf-8' | 'utf-16be' | 'utf-16le'

/** What comes with a message besides its envelope. */
export interface Attachment {
  /** What the envelope calls it, often a URI; may be empty. */
  readonly id: string
  /** A media type or an absolute URI, as `typeFormat` says; empty if it is unknown. */
  readonly type: string
  /** @default 'media-type', or 'unknown' without a type */
  readonly typeFormat?: 'media-type' | 'uri' | 'unknown'
  readonly data: Uint8Array
}

/** What a decoder tells of the messages that it finds. */
export interface FrameHandler {
  /** A message begins. The version is what the framing says, if it says any. */
  messageBegan(version: SoapVersion | undefined, encoding: TextEncoding): void
  /** Bytes of its envelope: borrowed, and `last` with the last of them. */
  envelope(bytes: Buffer, last: boolean): void
  attachment(attachment: Attachment): void
  /** It is whole. False holds the decoder up: it takes no byte more until it is called again. */
  messageEnded(): boolean
}

/** Finds messages in bytes. */
export interface FrameDecoder {
  /** Nothing of a message has come that is not whole. */
  readonly idle: boolean
  /**
   * Reads bytes and returns how many it took: all, unless its handler held it up. Throws a {@link Rejection}; it can
   * read nothing more then.
   */
  decode(chunk: Buffer): number
}

/** What messages may measure. */
export interface FrameLimits {
  /** Bytes of an envelope and its attachments. */
  readonly messageBytes: number
  /** Attachments of a message. */
  readonly attachments: number
}

/** The limits that hold where no other are given: those of WSE for the size. */
export const defaultFrameLimits: FrameLimits = { messageBytes: 4 * 1024 * 1024, attachments: 99 }
