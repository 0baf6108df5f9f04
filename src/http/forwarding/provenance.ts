import type { BlockList } from 'node:net'
import { AddressSet, addressIn } from '../../admission/address-set.ts'
import { integerOption, invalidOption } from '../../options.ts'
import { checkField, type Fields } from '../fields.ts'
import type { HttpVersion, RequestHead } from '../messages.ts'
import type { ClientNote, ForwardedClient } from './forwarded-client.ts'
import { forwardedNode, forwardedValue, mayAppend } from './forwarded-field.ts'
import { bitsOf } from './hop-by-hop.ts'

/**
 * What becomes of what a request says of where it comes from.
 *
 * | | what a trusted peer says | what others say | what we say |
 * |---|---|---|---|
 * | `'append'` | stays | is removed | is added behind |
 * | `'replace'` | is removed | is removed | is said |
 * | `'filter'` | stays | is removed | nothing |
 * | `'remove'` | is removed | is removed | nothing |
 * | `'leave'` | stays | stays: a server behind must not believe it | nothing |
 */
export type ForwardedMode = 'append' | 'replace' | 'filter' | 'remove' | 'leave'

/** What a proxy tells the server behind it of the client. */
export interface ProvenanceOptions {
  /**
   * Peers whose word counts, because they are proxies of ours: addresses and networks, `'loopback'`, `'private'`,
   * `'unix'`; or a `net.BlockList`.
   * @default nobody
   */
  trusted?: readonly string[] | BlockList
  /**
   * `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto`. Where a trusted peer has said the host or protocol,
   * that stays as it is, and only the address is added.
   * @default 'append'
   */
  xForwarded?: ForwardedMode
  /** `Forwarded` (RFC 7239). @default 'filter' */
  forwarded?: ForwardedMode
  /** Says the client's port in `Forwarded` too. @default false */
  forwardedPort?: boolean
  /**
   * Says the certificate that the client has shown and that is trusted in `Client-Cert` (RFC 9440). What peers say in it and in
   * `Client-Cert-Chain` is removed, unless they are trusted. @default false
   */
  clientCertificate?: boolean
  /** The name that stands for this proxy in `Via` (RFC 9110, 7.6.3), in both directions; `false` for none. @default 'xps' */
  via?: string | false
  /**
   * How often a request may have come through here already, as its `Via` says, before it is taken to go in circles.
   * @default 8
   */
  maxLoops?: number
}

/** The names of the options, for checks of what is given. */
export const provenanceNames: readonly (keyof ProvenanceOptions)[] = [
  'trusted',
  'xForwarded',
  'forwarded',
  'forwardedPort',
  'clientCertificate',
  'via',
  'maxLoops',
]

/** Where a request comes from, as its client sees it. */
export interface PublicSide {
  readonly secure: boolean
  /** Host and port. */
  readonly authority: string
}

const xForwardedBits = bitsOf('x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto')
const xForwardedForBit = bitsOf('x-forwarded-for')
const forwardedBit = bitsOf('forwarded')

/** Says where requests come from, and knows whom to believe. */
export class Provenance {
  readonly #trusted: AddressSet | undefined
  readonly #xForwarded: ForwardedMode
  readonly #forwarded: ForwardedMode
  readonly #forwardedPort: boolean
  readonly #clientCertificate: boolean
  readonly #via: string | undefined
  readonly #maxLoops: number
  readonly #droppedOfTrusted: number
  readonly #droppedOfOthers: number

  /** Throws `XPS_INVALID_OPTION`; `at` comes before the name of the option. */
  constructor(options: ProvenanceOptions, at = '') {
    const { trusted, via = 'xps', forwardedPort = false, clientCertificate = false } = options
    this.#trusted = trusted === undefined ? undefined : new AddressSet(`${at}trusted`, trusted)
    this.#xForwarded = modeOption(`${at}xForwarded`, options.xForwarded, 'append')
    this.#forwarded = modeOption(`${at}forwarded`, options.forwarded, 'filter')
    if (typeof forwardedPort !== 'boolean') throw invalidOption(`${at}forwardedPort`, forwardedPort, 'true or false')
    this.#forwardedPort = forwardedPort
    if (typeof clientCertificate !== 'boolean') {
      throw invalidOption(`${at}clientCertificate`, clientCertificate, 'true or false')
    }
    this.#clientCertificate = clientCertificate
    if (via !== false && (typeof via !== 'string' || !/^[!#$%&'*+\-.^_`|~\dA-Za-z]+(?::\d{1,5})?$/.test(via))) {
      throw invalidOption(`${at}via`, via, "a name, such as 'xps', or false")
    }
    this.#via = via === false ? undefined : via
    this.#maxLoops = integerOption(`${at}maxLoops`, options.maxLoops, 8, { min: 1, max: 1_000 })
    this.#droppedOfTrusted = this.#droppedOf(true)
    this.#droppedOfOthers = this.#droppedOf(false)
  }

  /** Whether what the client says of others is believed. */
  trusts(client: ForwardedClient): boolean {
    return this.#noteOf(client).trusted
  }

  /** Whether nobody but us may say what is in `Client-Cert`. */
  ownsCertificate(client: ForwardedClient): boolean {
    return this.#clientCertificate && !this.trusts(client)
  }

  /** The bits of the fields that are not passed on. */
  dropped(client: ForwardedClient): number {
    return this.#noteOf(client).trusted ? this.#droppedOfTrusted : this.#droppedOfOthers
  }

  #droppedOf(trusted: boolean): number {
    let bits = 0
    if (dropsTheirs(this.#xForwarded, trusted)) bits |= xForwardedBits
    else if (this.#xForwarded === 'append') bits |= xForwardedForBit
    if (dropsTheirs(this.#forwarded, trusted) || this.#forwarded === 'append') bits |= forwardedBit
    return bits
  }

  /**
   * What is written of the client: name, value, name, value; and the same as text. `present` has the bits of the fields
   * that the request has.
   */
  written(request: RequestHead, client: ForwardedClient, present: number): ClientNote {
    const note = this.#noteOf(client)
    const { authority, version } = request
    // A hook may have put anything there.
    if (authority !== '' && authority !== note.authority) checkField('host', authority)
    if (note.trusted && (present & (xForwardedBits | forwardedBit)) !== 0) {
      const pairs = this.#pairs(authority, version, client, request.headers)
      return { ...note, pairs, text: textOf(pairs) }
    }
    if (note.authority !== authority || note.version !== version) {
      // Copied: what is kept as long as the connection must not hold the text of a whole head.
      const kept = copyOf(authority)
      note.pairs = this.#pairs(kept, version, client, undefined)
      note.text = copyOf(textOf(note.pairs))
      note.authority = kept
      note.version = version
    }
    return note
  }

  /**
   * The address of the client that a request comes from in the end: `X-Forwarded-For` is read from its end, as long as
   * who says it is trusted. The peer's own address if it is not, or says nothing that can be read.
   */
  clientAddress(request: RequestHead, client: ForwardedClient): string {
    let address = client.address
    if (this.#trusted === undefined || !this.trusts(client)) return address
    const claimed = request.headers.get('x-forwarded-for')
    if (claimed === undefined) return address
    const hops = claimed.split(',')
    for (let index = hops.length - 1; index >= 0; index--) {
      const hop = addressIn(hops[index] as string)
      if (hop === undefined) break
      address = hop
      if (!this.#trusted.has(hop)) break
    }
    return address
  }

  /** How the client calls this server, as far as we know or are told by a peer that we trust. */
  publicSide(request: RequestHead, client: ForwardedClient): PublicSide {
    if (this.#trusted === undefined || !this.trusts(client)) {
      return { secure: client.secure, authority: request.authority }
    }
    const proto = firstOf(request.headers.get('x-forwarded-proto'))?.toLowerCase()
    const host = firstOf(request.headers.get('x-forwarded-host'))
    return {
      secure: proto === undefined ? client.secure : proto === 'https' || proto === 'wss',
      authority: host ?? request.authority,
    }
  }

  /** What `Via` says of a message that came in a version; undefined if it is not written. */
  viaOf(version: HttpVersion): string | undefined {
    // RFC 9110, 7.6.3: without the name of the protocol, which is HTTP.
    return this.#via === undefined ? undefined : `${version === '2' ? '2.0' : version} ${this.#via}`
  }

  /** Whether `Via` says that the request goes in circles. */
  loops(via: string): boolean {
    if (this.#via === undefined) return false
    const name = this.#via.toLowerCase()
    let count = 0
    for (const hop of via.toLowerCase().split(',')) if (hop.trim().split(/\s+/)[1] === name) count++
    return count >= this.#maxLoops
  }

  #noteOf(client: ForwardedClient): ClientNote {
    const { note } = client
    if (note !== undefined && note.by === this) return note
    const trusted = this.#trusted?.has(client.address) === true
    const made: ClientNote = { by: this, trusted, authority: '', version: '', pairs: [], text: '' }
    client.note = made
    return made
  }

  /** `said` is what a trusted peer has said. */
  #pairs(authority: string, version: HttpVersion, client: ForwardedClient, said: Fields | undefined): string[] {
    const { address } = client
    const proto = client.secure ? 'https' : 'http'
    const pairs: string[] = []
    if (speaks(this.#xForwarded)) {
      const before = this.#xForwarded === 'append' ? said : undefined
      const addresses = [before?.get('x-forwarded-for') ?? '', address].filter((one) => one !== '').join(', ')
      if (addresses !== '') pairs.push('X-Forwarded-For', addresses)
      if (authority !== '' && before?.has('x-forwarded-host') !== true) pairs.push('X-Forwarded-Host', authority)
      if (before?.has('x-forwarded-proto') !== true) pairs.push('X-Forwarded-Proto', proto)
    }
    if (speaks(this.#forwarded)) {
      let element = `for=${forwardedNode(address, this.#forwardedPort ? client.port : undefined)}`
      if (authority !== '') element += `;host=${forwardedValue(authority)}`
      element += `;proto=${proto}`
      const before = this.#forwarded === 'append' ? (said?.get('forwarded') ?? '') : ''
      pairs.push('Forwarded', before !== '' && mayAppend(before) ? `${before}, ${element}` : element)
    }
    const { certificate } = client
    if (certificate !== undefined && this.ownsCertificate(client)) pairs.push('Client-Cert', certificate)
    const via = this.viaOf(version)
    if (via !== undefined) pairs.push('Via', via)
    return pairs
  }
}

function modeOption(name: string, given: ForwardedMode | undefined, fallback: ForwardedMode): ForwardedMode {
  if (given === undefined) return fallback
  const modes: readonly string[] = ['append', 'replace', 'filter', 'remove', 'leave']
  if (!modes.includes(given)) throw invalidOption(name, given, modes.map((mode) => `'${mode}'`).join(', '))
  return given
}

function dropsTheirs(mode: ForwardedMode, trusted: boolean): boolean {
  return mode === 'replace' || mode === 'remove' || (mode !== 'leave' && !trusted)
}

function speaks(mode: ForwardedMode): boolean {
  return mode === 'append' || mode === 'replace'
}

function firstOf(list: string | undefined): string | undefined {
  const first = list?.split(',')[0]?.trim()
  return first === '' ? undefined : first
}

/** Fields as HTTP/1 writes them. */
export function textOf(pairs: readonly string[]): string {
  let text = ''
  for (let at = 0; at < pairs.length; at += 2) text += `${pairs[at]}: ${pairs[at + 1]}\r\n`
  return text
}

/** The same text in memory of its own. */
export function copyOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
