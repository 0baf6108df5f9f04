// What the PROXY protocol looks like on the wire, as far as reader and writer must agree. Numbers in brackets, there and
// here, are sections of its specification, haproxy's proxy-protocol.txt.

/** The first bytes of a header of version 2. */
export const signature: Uint8Array = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** The longest header of version 1, with its line break (2.1). */
export const longestLine = 107

/** What every header of version 2 begins with: signature, version and command, family, length. */
export const fixedLength = 16

/** The longest path of a Unix-domain socket, in bytes. */
export const unixPathLength = 108

/** Who it is that has connected: the proxy for itself, or for a client. */
export const commands = { local: 0, proxy: 1 } as const

/** Address family and transport: of streams only, because we have no other connections. */
export const families = { unspecified: 0x00, tcp4: 0x11, tcp6: 0x21, unix: 0x31 } as const

/** How many bytes both addresses have, with their ports. */
export const addressLengths: Readonly<Record<number, number>> = {
  [families.tcp4]: 12,
  [families.tcp6]: 36,
  [families.unix]: 2 * unixPathLength,
}
