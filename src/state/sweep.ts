import { setImmediate } from 'node:timers/promises'
import type { Container } from './container.ts'
import type { SessionTable } from './session-table.ts'

/** How many sessions one turn of the loop looks at. */
const perTurn = 200

/** Looks at all sessions of a container once, and removes what has expired and is not locked. */
export async function sweep(container: Container, table: SessionTable, running: () => boolean): Promise<void> {
  let looked = 0
  for await (const { id, expires } of container.list()) {
    if (!running()) return
    if (expires <= table.now) await table.expire(id)
    if (++looked % perTurn === 0) await setImmediate()
  }
}
