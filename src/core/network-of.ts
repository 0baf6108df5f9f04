import { ipBytes, ipText } from './proxy-protocol/ip-bytes.ts'

/**
 * What stands for a client in tables of addresses: an IPv4 address is itself, one of IPv6 is its network of 64 bits (RFC
 * 4291, 2.5.1), because whoever has such a network has all the addresses in it.
 */
export function networkOf(address: string): string {
  const [plain = ''] = address.split('%')
  const bytes = ipBytes(plain)
  return bytes?.length === 16 ? ipText(bytes.fill(0, 8)) : plain
}
