import { describe, expect, it } from 'vitest'
import type { Connection } from '../../src/index.ts'
import { ClientSession } from '../../src/index.ts'
import { dial, withCore } from '../support/net.ts'
import { until } from '../support/until.ts'

describe('A client that breaks off before its address can be asked for', () => {
  it('has no session: nobody could tell whether it is let in', async () => {
    const addresses: (string | undefined)[] = []
    class Reading extends ClientSession {
      protected override onOpen(): void {
        this.pipe(this.client.source, this.client.sink)
      }
    }
    await using core = withCore()
    const protocol = (connection: Connection): ClientSession => {
      addresses.push(connection.remoteAddress)
      return new Reading(connection)
    }
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol })
    const rounds = 300
    const leave = async (): Promise<void> => {
      const client = await dial(port)
      void client.write('POST / HTTP/1.1\r\n')
      client.reset()
    }
    // At once: most of them are gone when it is their turn to be accepted.
    await Promise.all(Array.from({ length: rounds }, leave))
    await until(() => expect(core.stats().accepted).toBe(rounds))
    expect(addresses).not.toContain(undefined)
    await until(() => expect(core.stats()).toMatchObject({ active: 0, refused: { gone: rounds - addresses.length } }))
  })
})
