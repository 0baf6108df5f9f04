let lastAuthority = ''

/** Whether it is a host with or without a port. The last good one is remembered: the same come again and again. */
export function checkAuthority(given: string): boolean {
  if (given === lastAuthority) return true
  const match = given.length > 255 + 6 ? null : hostAndPort.exec(given)
  if (match === null || Number(match[2] ?? 0) > 65_535) return false
  if (match[1] !== undefined && !URL.canParse(`http://${match[1]}/`)) return false
  lastAuthority = given
  return true
}

/** An IPv6 address or a name, and a port; or nothing, which says that there is no name (RFC 9110, 7.2). */
const hostAndPort = /^(?:(?:(\[[\dA-Fa-f:.]{2,45}\])|(?:[\w.~-]|%[\dA-Fa-f]{2})+)(?::(\d{1,5}))?)?$/
