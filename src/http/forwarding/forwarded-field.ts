// The field of RFC 7239.

/** A client in `for=`: quoted where it has to be (RFC 7239, section 6), `unknown` if it has no address. */
export function forwardedNode(address: string, port?: number): string {
  if (address === '') return 'unknown'
  const host = address.includes(':') ? `[${address}]` : address
  return forwardedValue(port === undefined ? host : `${host}:${port}`)
}

/** A value of a pair, as a token if it is one, and otherwise as a quoted string. */
export function forwardedValue(text: string): string {
  return /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
}

/**
 * Whether more can be added behind a value: a quotation mark that is never closed would swallow what follows it, and
 * whatever a client has put there may come through a trusted proxy.
 */
export function mayAppend(value: string): boolean {
  let quoted = false
  for (let index = 0; index < value.length; index++) {
    const character = value[index]
    if (character === '"') quoted = !quoted
    else if (character === '\\') {
      if (!quoted) return false
      index++
      if (index === value.length) return false
    }
  }
  return !quoted
}
