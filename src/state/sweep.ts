import { setImmediate } from 'node:timers/promises'
import type { Container } from './container.ts'
import type { SessionTable } from './session-table.ts'

/** How many sessions one turn of the loop looks at, or a container removes with one call. */
const perTurn = 200

/** Looks at all sessions of a container once, and removes what has expired and is not locked. */
export async function sweep(container: Container, table: SessionTable, running: () => boolean): Promise<void> {
  // One that does not lock cannot know what this process has locked.
  if (container.sweep !== undefined && container.lock !== undefined)
    return leave(container.sweep.bind(container), table, running)
  let looked = 0
  for await (const { id, expires } of container.list()) {
    if (!running()) return
    if (expires <= table.now) await table.expire(id)
    if (++looked % perTurn === 0) await setImmediate()
  }
}

/** Leaves it to the container, in parts. What expires meanwhile is for the next time, so that there is an end to it. */
async function leave(
  removes: NonNullable<Container['sweep']>,
  table: SessionTable,
  running: () => boolean,
): Promise<void> {
  const { now } = table
  while (running()) {
    const ids = await removes(now, perTurn)
    for (const id of ids) table.swept(id)
    if (ids.length < perTurn) return
    await setImmediate()
  }
}
