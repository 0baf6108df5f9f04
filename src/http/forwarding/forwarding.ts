import { invalidOption, knownOptions } from '../../options.ts'
import { bytesOf, type PassedOn } from '../field-block.ts'
import { checkField, Fields } from '../fields.ts'
import type { RequestHead, ResponseHead } from '../messages.ts'
import { CookieAttribute, type CookieRewrite } from './cookies.ts'
import type { ForwardedClient } from './forwarded-client.ts'
import { acceptsTrailers, bitsOf, hopByHop, isLookalike, nominatedNames } from './hop-by-hop.ts'
import { PathRewrite, type PathRewriteOptions, pathRewriteNames } from './path-rewrite.ts'
import { copyOf, Provenance, type ProvenanceOptions, type PublicSide, provenanceNames, textOf } from './provenance.ts'
import { type RedirectRewrite, Redirects } from './redirects.ts'
import { forwardedTrailers } from './trailers.ts'

/** How requests are passed on to an upstream, and its responses to the client. */
export interface ForwardingOptions extends ProvenanceOptions, PathRewriteOptions {
  /** `Host` for the upstream: the client's, the upstream's own address, or a given one. @default 'keep' */
  hostHeader?: 'keep' | 'upstream' | (string & {})
  /** Passes on that the client takes trailers (`TE: trailers`); all else in `TE` is for this hop. @default true */
  trailers?: boolean
  /**
   * More fields that a client can neither take away by naming them in `Connection` nor send with underscores for
   * hyphens: those that a proxy before this one, or the server behind, relies on.
   */
  protect?: readonly string[]
  /**
   * Rewrites `Location`, `Content-Location` and `Refresh` where the upstream names itself by its own address or by a
   * path without the prefix.
   * @default 'rewrite'
   */
  redirects?: 'rewrite' | 'leave' | RedirectRewrite
  /** Rewrites `Domain` in `Set-Cookie`. @default left as it is */
  cookieDomain?: CookieRewrite
  /** Rewrites `Path` in `Set-Cookie`. @default left as it is */
  cookiePath?: CookieRewrite
}

/** The names of the options, for checks of what is given. */
export const forwardingNames: readonly (keyof ForwardingOptions)[] = [
  ...provenanceNames,
  ...pathRewriteNames,
  'hostHeader',
  'trailers',
  'protect',
  'redirects',
  'cookieDomain',
  'cookiePath',
]

/** What a response answers, as far as forwarding has to know: a transaction has it all. */
export interface Answered {
  /** As it came, or as hooks left it. */
  readonly request: RequestHead
  readonly client: ForwardedClient
  /** As it was given for the request: host and port. */
  readonly upstreamHost: string
  /** The same with the port, where `upstreamHost` leaves a default one out. */
  readonly upstreamAuthority?: string
  /** The prefix of the route; `''` for none. */
  readonly prefix: string
}

const connectionBit = bitsOf('connection')
const teBit = bitsOf('te')
const hostBit = bitsOf('host')
const viaBit = bitsOf('via')
const cookieBit = bitsOf('set-cookie')
/** What RFC 9440 says of a client's certificate in. */
const certificateFields: readonly string[] = ['client-cert', 'client-cert-chain']
const redirectBits = bitsOf('location', 'content-location', 'refresh')

/**
 * The rules by which header fields are passed on, both ways. One serves all the requests of a route.
 *
 * What is for one hop is removed: `Connection` and what it names, `Keep-Alive`, `Proxy-Connection`, `Proxy-Authenticate`,
 * `Proxy-Authorization`, `TE` (but see `trailers`), `Upgrade`; and the framing, `Content-Length` and `Transfer-Encoding`,
 * which whoever writes the message writes anew. An upgrade that is wanted is written by whoever does it, too. All else is
 * passed on as it was spelled, in its order.
 */
export class Forwarding {
  readonly #provenance: Provenance
  readonly #paths: PathRewrite
  readonly #host: string
  readonly #trailers: boolean
  readonly #protect: ReadonlySet<string> | undefined
  readonly #redirects: Redirects | undefined
  readonly #cookieDomain: CookieAttribute | undefined
  readonly #cookiePath: CookieAttribute | undefined

  /** Throws `XPS_INVALID_OPTION`; `name` comes before the name of the option: `routes[1].hostHeader`. */
  constructor(options: ForwardingOptions = {}, name = '') {
    const at = name === '' ? '' : `${name}.`
    knownOptions(name === '' ? 'forwarding' : name, options, forwardingNames)
    const { hostHeader = 'keep', trailers = true, protect, redirects = 'rewrite', cookieDomain, cookiePath } = options
    this.#provenance = new Provenance(options, at)
    this.#paths = new PathRewrite(options, at)
    if (typeof hostHeader !== 'string' || !/^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.test(hostHeader)) {
      throw invalidOption(`${at}hostHeader`, hostHeader, "'keep', 'upstream' or a host such as 'app.test'")
    }
    this.#host = hostHeader
    if (typeof trailers !== 'boolean') throw invalidOption(`${at}trailers`, trailers, 'true or false')
    this.#trailers = trailers
    this.#protect = protectOption(`${at}protect`, protect, options.clientCertificate === true ? certificateFields : [])
    this.#redirects = redirectsOption(`${at}redirects`, redirects, this.#paths)
    this.#cookieDomain = cookieOption(`${at}cookieDomain`, 'domain', cookieDomain)
    this.#cookiePath = cookieOption(`${at}cookiePath`, 'path', cookiePath)
  }

  /**
   * The target of the request to the upstream. `prefix` is that of the route; the request's target should be the one
   * that its router has found, without dot segments.
   */
  target(request: RequestHead, prefix: string): string {
    return this.#paths.target(request, prefix)
  }

  /** The address of the client that a request comes from in the end, as far as trusted peers say. */
  clientAddress(request: RequestHead, client: ForwardedClient): string {
    return this.#provenance.clientAddress(request, client)
  }

  /** How the client calls this server, as far as trusted peers say. */
  publicSide(request: RequestHead, client: ForwardedClient): PublicSide {
    return this.#provenance.publicSide(request, client)
  }

  /**
   * Why a request must not be passed on (RFC 9110, 7.6): it has come through here too often (`'loop'`, answered 508), or
   * it is an OPTIONS or TRACE for this server (`'max-forwards'`, whose `Max-Forwards` is 0).
   */
  stops(request: RequestHead): 'loop' | 'max-forwards' | undefined {
    if (countsForwards(request.method) && /^0+$/.test(request.headers.get('max-forwards') ?? '')) return 'max-forwards'
    const { headers } = request
    const via = (headers.present & viaBit) === 0 ? undefined : headers.get('via')
    return via !== undefined && this.#provenance.loops(via) ? 'loop' : undefined
  }

  /** `Host`, or `:authority`, for the upstream. */
  hostFor(request: RequestHead, upstreamHost: string): string {
    if (this.#host === 'upstream') return upstreamHost
    if (this.#host !== 'keep') return this.#host
    const host = request.headers.get('host') ?? request.authority
    return host === '' ? upstreamHost : host
  }

  /** The same, or throws `XPS_INVALID_HEADER` if it cannot be sent. */
  checkedHost(request: RequestHead, upstreamHost: string): string {
    const host = this.hostFor(request, upstreamHost)
    checkField('host', host)
    return host
  }

  /**
   * The header fields for an upstream as HTTP/1 writes them, each with its CRLF: without a start line, framing and the
   * empty line at the end. `drop` has bits of more known fields to leave out.
   */
  requestBlock(request: RequestHead, client: ForwardedClient, upstreamHost: string, drop = 0): string {
    const kept = drop === 0 ? this.#keptRequest(request, client, upstreamHost) : undefined
    return kept === undefined ? this.#requestBlock(request, client, upstreamHost, drop) : kept.text
  }

  /** The same in bytes, if they have been kept of a request before; they must not be changed. */
  requestBytes(request: RequestHead, client: ForwardedClient, upstreamHost: string): Buffer | undefined {
    const kept = this.#keptRequest(request, client, upstreamHost)
    if (kept === undefined) return undefined
    kept.bytes ??= bytesOf(kept.text)
    return kept.bytes
  }

  #keptRequest(request: RequestHead, client: ForwardedClient, upstreamHost: string): PassedOn | undefined {
    const { authority, version, headers } = request
    const { block } = headers
    // What a method says of them is not in what is kept.
    if (block?.repeated !== true || countsForwards(request.method)) return undefined
    const kept = block.passedOn
    if (
      kept !== undefined &&
      kept.by === this &&
      kept.client === client &&
      kept.authority === authority &&
      kept.version === version &&
      kept.upstreamHost === upstreamHost
    ) {
      return kept
    }
    const text = copyOf(this.#requestBlock(request, client, upstreamHost, 0))
    block.passedOn = { by: this, client, authority, version, upstreamHost, text, bytes: undefined }
    return block.passedOn
  }

  #requestBlock(request: RequestHead, client: ForwardedClient, upstreamHost: string, drop: number): string {
    const { headers } = request
    const { present } = headers
    const names = this.#leftOut(request, client, present)
    let bits = hopByHop | this.#provenance.dropped(client) | drop
    let block = ''
    if (this.#host !== 'keep' || (present & hostBit) === 0) {
      bits |= hostBit
      block = `Host: ${this.checkedHost(request, upstreamHost)}\r\n`
    }
    block += headers.serialize(bits, names) + this.#provenance.written(request, client, present).text
    if ((present & teBit) !== 0 && this.#passesTrailers(request)) block += 'TE: trailers\r\nConnection: TE\r\n'
    return names === undefined ? block : block + textOf(this.#remade(request, names))
  }

  /** The same as a list, without `Host`: see {@link hostFor}. `TE` may be in it, without a `Connection` for it. */
  requestFields(request: RequestHead, client: ForwardedClient, drop = 0): Fields {
    const { headers } = request
    const { present } = headers
    const names = this.#leftOut(request, client, present)
    const bits = hopByHop | hostBit | this.#provenance.dropped(client) | drop
    const fields = keptFields(headers, bits, names)
    addPairs(fields, this.#provenance.written(request, client, present).pairs)
    if ((present & teBit) !== 0 && this.#passesTrailers(request)) fields.append('TE', 'trailers')
    if (names !== undefined) addPairs(fields, this.#remade(request, names))
    return fields
  }

  /** The header fields for the client as HTTP/1 writes them; `drop` as for {@link requestBlock}. */
  responseBlock(response: ResponseHead, answered: Answered, drop = 0): string {
    const { version, headers } = response
    const { block } = headers
    // What is rewritten depends on the request, too.
    if (block?.repeated !== true || drop !== 0 || this.#rewrites(headers)) {
      return this.#responseBlock(response, answered, drop)
    }
    const kept = block.passedOn
    if (kept !== undefined && kept.by === this && kept.version === version && kept.client === undefined)
      return kept.text
    const text = this.#responseBlock(response, answered, 0)
    block.passedOn = {
      by: this,
      client: undefined,
      authority: '',
      version,
      upstreamHost: '',
      text: copyOf(text),
      bytes: undefined,
    }
    return text
  }

  #responseBlock(response: ResponseHead, answered: Answered, drop: number): string {
    const { headers } = response
    const via = this.#provenance.viaOf(response.version)
    const written = via === undefined ? '' : `Via: ${via}\r\n`
    const names = this.#namedIn(headers)
    const rewritten = this.#rewritten(response, answered)
    if (rewritten === undefined) return headers.serialize(hopByHop | drop, names) + written
    const without = withNames(names, rewritten)
    return headers.serialize(hopByHop | drop, without) + textOf(onlyKept(rewritten, names)) + written
  }

  /** The same as a list. */
  responseFields(response: ResponseHead, answered: Answered, drop = 0): Fields {
    const names = this.#namedIn(response.headers)
    const rewritten = this.#rewritten(response, answered) ?? []
    const fields = keptFields(response.headers, hopByHop | drop, withNames(names, rewritten))
    addPairs(fields, onlyKept(rewritten, names))
    const via = this.#provenance.viaOf(response.version)
    return via === undefined ? fields : fields.append('Via', via)
  }

  /** The same as HTTP/2 writes it, added to a list: see {@link Fields.pairs}. */
  responsePairs(response: ResponseHead, answered: Answered, pairs: string[]): string[] {
    const names = this.#namedIn(response.headers)
    const rewritten = this.#rewritten(response, answered)
    response.headers.pairs(pairs, hopByHop, rewritten === undefined ? names : withNames(names, rewritten))
    if (rewritten !== undefined) {
      const kept = onlyKept(rewritten, names)
      for (let at = 0; at < kept.length; at++) {
        const one = kept[at] as string
        pairs.push(at % 2 === 0 ? one.toLowerCase() : one)
      }
    }
    const via = this.#provenance.viaOf(response.version)
    if (via !== undefined) pairs.push('via', via)
    return pairs
  }

  /** What {@link keepForm} has kept for such a head, for clients of that version, if it holds for this one. */
  keptForm(response: ResponseHead, length: number, http: 1 | 2): object | undefined {
    const { block } = response.headers
    const kept = http === 1 ? block?.sentByHttp1 : block?.sentByHttp2
    if (kept === undefined || kept.by !== this || kept.status !== response.status || kept.length !== length) {
      return undefined
    }
    return kept.version === response.version && kept.reason === response.reason ? kept.form : undefined
  }

  /** What is made of a head is likely to be needed again, and depends on nothing else. */
  keeps({ headers }: ResponseHead): boolean {
    return headers.block?.repeated === true && !this.#rewrites(headers)
  }

  /** Keeps what was made of a head, if that is of use. */
  keepForm(response: ResponseHead, length: number, form: object, http: 1 | 2): void {
    const { version, status, reason, headers } = response
    const { block } = headers
    if (block === undefined || !this.keeps(response)) return
    const sent = { by: this, version, status, reason, length, form }
    if (http === 1) block.sentByHttp1 = sent
    else block.sentByHttp2 = sent
  }

  /** Trailers for the next hop, of a message with the given head. */
  trailers(trailers: Fields, head: Fields): Fields {
    return forwardedTrailers(trailers, head, this.#protect)
  }

  #namedIn(headers: Fields): Set<string> | undefined {
    const connection = headers.get('connection')
    return connection === undefined ? undefined : nominatedNames(connection, this.#protect)
  }

  /** Names that are left out of this request only; undefined for nearly all. */
  #leftOut(request: RequestHead, client: ForwardedClient, present: number): Set<string> | undefined {
    const { headers } = request
    let names = (present & connectionBit) === 0 ? undefined : this.#namedIn(headers)
    const { size } = headers
    if (headers.underscored)
      for (let index = 0; index < size; index++) {
        if (headers.kindAt(index) !== 0) continue
        const name = headers.nameAt(index)
        if (!isLookalike(name, this.#protect)) continue
        names ??= new Set()
        names.add(name.toLowerCase())
      }
    if (this.#provenance.ownsCertificate(client)) {
      names ??= new Set()
      for (const name of certificateFields) names.add(name)
    }
    if (countsForwards(request.method) && /^\d{1,9}$/.test(headers.get('max-forwards') ?? '')) {
      names ??= new Set()
      names.add('max-forwards')
    }
    return names
  }

  /** What takes the place of fields that were left out because they have to be written otherwise. */
  #remade(request: RequestHead, names: ReadonlySet<string>): string[] {
    const { headers } = request
    const pairs: string[] = []
    // RFC 9110, 7.6.2. A `Connection` that names it has no say.
    if (names.has('max-forwards') && countsForwards(request.method)) {
      pairs.push('Max-Forwards', String(Math.max(0, Number(headers.get('max-forwards')) - 1)))
    }
    return pairs
  }

  /** HTTP/1.0 has no trailers (and no TE). */
  #passesTrailers(request: RequestHead): boolean {
    return this.#trailers && request.version !== '1.0' && acceptsTrailers(request.headers.get('te') ?? '')
  }

  /** Whether some of a response's fields may have to change. */
  #rewrites({ present }: Fields): boolean {
    const cookies = this.#cookieDomain !== undefined || this.#cookiePath !== undefined
    return (present & ((this.#redirects === undefined ? 0 : redirectBits) | (cookies ? cookieBit : 0))) !== 0
  }

  /** Fields of a response whose values change: name, value, name, value. */
  #rewritten(response: ResponseHead, answered: Answered): string[] | undefined {
    const { headers, status } = response
    let pairs: string[] | undefined
    if (this.#redirects !== undefined && (headers.present & redirectBits) !== 0) {
      const location = status === 201 || (status >= 300 && status < 400) ? headers.get('location') : undefined
      const content = headers.get('content-location')
      const refresh = headers.get('refresh')
      if (location !== undefined || content !== undefined || refresh !== undefined) {
        const { request, client, upstreamHost, upstreamAuthority = upstreamHost, prefix } = answered
        const side = this.#provenance.publicSide(request, client)
        const own = [upstreamAuthority]
        if (this.#host !== 'keep' && this.#host !== 'upstream') own.push(this.#host)
        pairs = []
        if (location !== undefined) pairs.push('Location', this.#redirects.url(location, own, side, prefix))
        if (content !== undefined) pairs.push('Content-Location', this.#redirects.url(content, own, side, prefix))
        if (refresh !== undefined) pairs.push('Refresh', this.#redirects.refresh(refresh, own, side, prefix))
        for (let at = 0; at < pairs.length; at += 2) checkField(pairs[at] as string, pairs[at + 1] as string)
      }
    }
    if (this.#cookieDomain === undefined && this.#cookiePath === undefined) return pairs
    for (const given of headers.getAll('set-cookie')) {
      pairs ??= []
      const cookie = this.#cookieDomain?.rewrite(given) ?? given
      pairs.push('Set-Cookie', this.#cookiePath?.rewrite(cookie) ?? cookie)
    }
    return pairs
  }
}

/** The methods whose requests count the hops that they may take (RFC 9110, 7.6.2). */
function countsForwards(method: string): boolean {
  return method === 'OPTIONS' || method === 'TRACE'
}

function protectOption(
  name: string,
  given: readonly string[] = [],
  ours: readonly string[],
): ReadonlySet<string> | undefined {
  if (!Array.isArray(given)) throw invalidOption(name, given, 'a list of names of header fields')
  for (const field of given as readonly unknown[]) {
    if (typeof field !== 'string' || !/^[!#$%&'*+\-.^_`|~\da-z]+$/i.test(field)) {
      throw invalidOption(name, field, 'made of names of header fields')
    }
  }
  const all = [...ours, ...given]
  return all.length === 0 ? undefined : new Set(all.map((field) => field.toLowerCase()))
}

function redirectsOption(
  name: string,
  given: 'rewrite' | 'leave' | RedirectRewrite,
  paths: PathRewrite,
): Redirects | undefined {
  if (given === 'leave') return undefined
  if (given === 'rewrite') return new Redirects({}, paths)
  if (typeof given !== 'object' || given === null) throw invalidOption(name, given, "'rewrite', 'leave' or an object")
  knownOptions(name, given, ['host', 'scheme'])
  return new Redirects(given, paths, name)
}

function cookieOption(
  name: string,
  attribute: 'domain' | 'path',
  given: CookieRewrite | undefined,
): CookieAttribute | undefined {
  return given === undefined ? undefined : new CookieAttribute(name, attribute, given)
}

function keptFields(headers: Fields, bits: number, names: ReadonlySet<string> | undefined): Fields {
  const kept = new Fields()
  for (let index = 0; index < headers.size; index++) {
    const kind = headers.kindAt(index)
    if (kind !== 0 && ((bits >>> kind) & 1) === 1) continue
    const name = headers.nameAt(index)
    if (names?.has(name.toLowerCase()) !== true) kept.append(name, headers.valueAt(index))
  }
  return kept
}

function addPairs(fields: Fields, pairs: readonly string[]): void {
  for (let at = 0; at < pairs.length; at += 2) fields.append(pairs[at] as string, pairs[at + 1] as string)
}

/** The names of the pairs besides those that are there already. */
function withNames(names: ReadonlySet<string> | undefined, pairs: readonly string[]): ReadonlySet<string> | undefined {
  if (pairs.length === 0) return names
  const all = new Set(names)
  for (let at = 0; at < pairs.length; at += 2) all.add((pairs[at] as string).toLowerCase())
  return all
}

/** The pairs whose names `Connection` has not named. */
function onlyKept(pairs: readonly string[], names: ReadonlySet<string> | undefined): readonly string[] {
  if (names === undefined) return pairs
  return pairs.filter((_, at) => !names.has((pairs[at - (at % 2)] as string).toLowerCase()))
}
