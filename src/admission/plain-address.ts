/** An IPv4 address that a dual-stack socket shows as IPv6 (`::ffff:10.0.0.1`) is the IPv4 address that it is. */
export function plainAddress(address: string | undefined): string | undefined {
  return address?.startsWith('::ffff:') === true && address.includes('.') ? address.slice(7) : address
}
