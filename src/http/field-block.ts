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
  /** The same of a response for clients that speak HTTP/2. */
  passedOnByHttp2: PassedOnByHttp2 | undefined

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
}

/** A block as a client is sent it that speaks HTTP/2, in whatever form Node takes it, and all that this depends on. */
export interface PassedOnByHttp2 {
  readonly by: object
  readonly version: string
  readonly status: number
  /** What `content-length` says; less than 0 if nothing. */
  readonly length: number
  readonly form: object
}
