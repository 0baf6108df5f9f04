import { bytesOption, integerOption } from '../options.ts'
import type { FrameLimits } from './framing/framing.ts'
import type { XmlLimits } from './xml/reader.ts'

/** How much a peer may send, and how much may wait for it. */
export interface SoapLimitOptions {
  /** The longest message with its attachments, in bytes; a longer one ends the connection. @default 4194304 */
  maxMessageBytes?: number | string
  /** Attachments of a message. @default 99 */
  maxAttachments?: number
  /** How deep elements may lie in each other. @default 64 */
  maxDepth?: number
  /** Attributes of one element. @default 1000 */
  maxAttributes?: number
  /** Elements, attributes and pieces of text in an envelope. @default 100000 */
  maxNodes?: number
  /** The longest piece of text, in characters. @default 4194304 */
  maxText?: number
  /**
   * Bytes that may wait for a peer that does not take them. At a quarter of it `send` returns false, and no more is
   * read from the peer; at all of it the peer is dropped.
   * @default 4194304
   */
  maxQueuedBytes?: number | string
  /** As {@link maxQueuedBytes}, in messages. @default 1000 */
  maxQueuedMessages?: number
}

/** What may wait for a peer. */
export interface QueueLimits {
  readonly bytes: number
  readonly messages: number
}

/** The limits in force. */
export interface SoapLimits {
  readonly frame: FrameLimits
  readonly xml: XmlLimits
  readonly queue: QueueLimits
}

/** The names of the options. */
export const soapLimitNames: readonly (keyof SoapLimitOptions)[] = [
  'maxMessageBytes',
  'maxAttachments',
  'maxDepth',
  'maxAttributes',
  'maxNodes',
  'maxText',
  'maxQueuedBytes',
  'maxQueuedMessages',
]

const many = { min: 1, max: 100_000_000 }

/** The given limits, and the defaults where none are given. Throws `XPS_INVALID_OPTION`. */
export function soapLimits(given: SoapLimitOptions): SoapLimits {
  const bytes = (name: 'maxMessageBytes' | 'maxQueuedBytes'): number =>
    Math.min(bytesOption(name, given[name] ?? 4 * 1024 * 1024), 0xffffffff)
  return {
    frame: {
      messageBytes: bytes('maxMessageBytes'),
      attachments: integerOption('maxAttachments', given.maxAttachments, 99, { min: 0, max: 10_000 }),
    },
    xml: {
      depth: integerOption('maxDepth', given.maxDepth, 64, { min: 3, max: 1_000 }),
      attributes: integerOption('maxAttributes', given.maxAttributes, 1_000, many),
      nodes: integerOption('maxNodes', given.maxNodes, 100_000, many),
      text: integerOption('maxText', given.maxText, 4 * 1024 * 1024, { min: 1, max: 0x1fffffe8 }),
    },
    queue: {
      bytes: bytes('maxQueuedBytes'),
      messages: integerOption('maxQueuedMessages', given.maxQueuedMessages, 1_000, many),
    },
  }
}
