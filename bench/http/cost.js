// CPU of a server per request, while clients keep it busy.
import { cpuTime, pause } from '../lib/processes.js'
import { openClients } from './load.js'

/**
 * Resolves to microseconds of CPU per request. The clients are new ones each time, so it does not matter for how long a
 * server keeps a connection that is silent; that they connect, and what follows from it, is not measured.
 */
export async function cpuPerRequest({ port, pid }, { expected, requests, clients: count, firsts = 5, secure = false }) {
  const clients = await openClients(port, count, { secure })
  await clients.request(expected, count * firsts)
  await pause(10)
  const before = cpuTime(pid)
  await clients.request(expected, requests)
  // The end of the last turn of its loop counts as well.
  await pause(10)
  const used = cpuTime(pid) - before
  await clients.close()
  return used / requests
}

/** How many rounds are not counted, until the just-in-time compiler and the heap have settled. */
export function warmUp(quick) {
  return quick ? 1 : 3
}
