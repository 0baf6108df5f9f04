/**
 * The bytes of an IP address in text: 4 or 16, or undefined for anything else. Strict: four decimal numbers without
 * leading zeros, or groups of hexadecimal digits with `::` at most once (RFC 4291, 2.2); no interface, no brackets.
 */
export function ipBytes(text: string): Uint8Array | undefined {
  if (text.length > longestText) return undefined
  return text.includes(':') ? ipv6Bytes(text) : ipv4Bytes(text)
}

/** The text of 4 or 16 bytes, as RFC 5952 wants it. */
export function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups: number[] = []
  for (let at = 0; at < 16; at += 2) groups.push(((bytes[at] as number) << 8) | (bytes[at + 1] as number))
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return `::ffff:${bytes.subarray(12).join('.')}`
  }
  const [start, length] = longestZeros(groups)
  const text = groups.map((group) => group.toString(16))
  if (length < 2) return text.join(':')
  return `${text.slice(0, start).join(':')}::${text.slice(start + length).join(':')}`
}

/** `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255` */
const longestText = 45

function ipv4Bytes(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (const [index, part] of parts.entries()) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
    bytes[index] = Number(part)
  }
  return bytes
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [left, right] = halves.map((half, index) => groupBytes(half, index === halves.length - 1))
  if (left === undefined) return undefined
  if (halves.length === 1) return left.length === 16 ? Uint8Array.from(left) : undefined
  // The two colons stand for one group of zeros at least.
  if (right === undefined || left.length + right.length > 14) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(left)
  bytes.set(right, 16 - right.length)
  return bytes
}

/** Groups between colons; the last of all may be an IPv4 address. */
function groupBytes(text: string, last: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [index, group] of groups.entries()) {
    if (last && index === groups.length - 1 && group.includes('.')) {
      const tail = ipv4Bytes(group)
      if (tail === undefined) return undefined
      bytes.push(...tail)
    } else if (/^[\da-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
    } else return undefined
  }
  return bytes
}

/** Where the longest run of zeros is, the first of several, and how long. */
function longestZeros(groups: readonly number[]): [start: number, length: number] {
  let [start, length] = [0, 0]
  for (let at = 0; at < groups.length; at++) {
    let end = at
    while (groups[end] === 0) end++
    if (end - at > length) [start, length] = [at, end - at]
    if (end > at) at = end
  }
  return [start, length]
}
