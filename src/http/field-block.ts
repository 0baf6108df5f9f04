/**
 * @internal The fields of a head as they came, and where each name and value lies. Nothing of it changes once it is made, so the
 * messages of a connection that say the same share one: whoever edits the fields of a message gets a list of its own.
 */
export class FieldBlock {
  /** Field lines, each with its CRLF. */
  readonly text: string
  /** Start and end of name and value and the kind, `marksPerField` numbers for each field. */
  readonly marks: readonly number[]
  /** Bit n: a field is of known kind n; the highest: some name has an underscore. */
  readonly present: number
  /** More than one message has it: what is made of it is worth keeping. */
  repeated = false
  /** What was made of it last, to be sent on; only of one that is {@link repeated}. */
  passedOn: PassedOn | undefined
  /** Whole heads of responses with it, as they were sent last to clients that speak HTTP/1.1, and HTTP/2. */
  sentByHttp1: SentHead | undefined
  sentByHttp2: SentHead | undefined

  constructor(text: string, marks: readonly number[], present: number) {
    this.text = text
    this.marks = marks
    this.present = present
  }
}

/** A block as it is passed on, and all that this depends on besides the block. */
export interface PassedOn {
  /** The rules by which it was made. */
  readonly by: object
  readonly version: string
  /** Of a request: for whom, what it asks for, and where it goes. */
  readonly client: object | undefined
  readonly authority: string
  readonly upstreamHost: string
  readonly text: string
  /** The same in bytes, once somebody has asked for them. */
  bytes: Buffer | undefined
}

/** A response's head with the block, in whatever form it is sent, and all that this depends on. */
export interface SentHead {
  readonly by: object
  readonly version: string
  readonly status: number
  readonly reason: string
  /** What `content-length` says; less than 0 if nothing. */
  readonly length: number
  readonly form: object
}

/** @internal A text that is kept, in bytes: not in memory that others have a share of, and that would be kept with it. */
export function bytesOf(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(text.length)
  bytes.write(text, 'latin1')
  return bytes
}
