import { readdirSync, readlinkSync } from 'node:fs'

/** What the process has open: its sockets and files, by name. */
export function openDescriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return [] // The one that listed them.
    }
  })
}

/** Descriptors of sockets only. */
export function openSockets(): number {
  return openDescriptors().filter((name) => name.startsWith('socket:')).length
}
